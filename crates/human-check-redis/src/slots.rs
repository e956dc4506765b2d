use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

/// The number of hash slots of a cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// The checksum that assigns keys to slots.
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// Returns the slot of a key. Where a key holds a text in `{…}`, that text alone decides.
pub(crate) fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then_some(&rest[..close])
    });
    CRC.checksum(tag.unwrap_or(key)) % SLOTS
}

/// Host and port of a node.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct NodeAddress {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl NodeAddress {
    /// Reads `host:port`. A node that does not know its own host leaves it out, and is then at the
    /// host of the node that was asked.
    pub(crate) fn parse(text: &str, asked: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Self::new(host, port.parse().ok()?, asked)
    }

    fn new(host: &str, port: u16, asked: &str) -> Option<Self> {
        let host = match host {
            "" | "?" => asked,
            host => host,
        };
        (port > 0 && !host.is_empty()).then(|| Self {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Which node has which slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlotMap {
    /// The first slot, the last slot and the primary, in the order of the slots.
    ranges: Vec<(u16, u16, NodeAddress)>,
    nodes: HashSet<NodeAddress>,
}

impl SlotMap {
    /// Reads the reply to `CLUSTER SLOTS` of the node at the host `asked`. Returns `None` for
    /// another reply, and for one that names no node.
    pub(crate) fn parse(reply: &Value, asked: &str) -> Option<Self> {
        let Value::Array(rows) = reply else {
            return None;
        };
        let mut map = Self::default();
        for row in rows {
            let Value::Array(row) = row else {
                return None;
            };
            let [Value::Int(first), Value::Int(last), primary, replicas @ ..] = &row[..] else {
                return None;
            };
            let slot = |number: &i64| u16::try_from(*number).ok().filter(|slot| *slot < SLOTS);
            let primary = node(primary, asked)?;
            map.nodes.insert(primary.clone());
            map.nodes
                .extend(replicas.iter().filter_map(|replica| node(replica, asked)));
            map.ranges.push((slot(first)?, slot(last)?, primary));
        }
        map.ranges.sort_by_key(|(first, ..)| *first);
        (!map.ranges.is_empty()).then_some(map)
    }

    /// Returns the primary of a slot, if the cluster has one.
    pub(crate) fn primary(&self, slot: u16) -> Option<&NodeAddress> {
        let after = self.ranges.partition_point(|(first, ..)| *first <= slot);
        let (_, last, primary) = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= *last).then_some(primary)
    }

    /// Returns each primary once, in the order of the slots.
    pub(crate) fn primaries(&self) -> Vec<NodeAddress> {
        let mut seen = HashSet::new();
        let primaries = self.ranges.iter().map(|(.., primary)| primary);
        primaries
            .filter(|primary| seen.insert(*primary))
            .cloned()
            .collect()
    }

    /// Returns all nodes, replicas among them.
    pub(crate) fn nodes(&self) -> &HashSet<NodeAddress> {
        &self.nodes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

fn node(value: &Value, asked: &str) -> Option<NodeAddress> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [host, Value::Int(port), ..] = &parts[..] else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    NodeAddress::new(host, u16::try_from(*port).ok()?, asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // The reference value of the cluster specification.
        assert_eq!(CRC.checksum(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"user1000"));
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
        // An empty tag is no tag.
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"));
    }

    fn range(first: i64, last: i64, hosts: &[(&str, i64)]) -> Value {
        let hosts = hosts.iter().map(|(host, port)| {
            Value::Array(vec![
                Value::BulkString(host.as_bytes().to_vec()),
                Value::Int(*port),
                Value::BulkString(b"an-id".to_vec()),
            ])
        });
        let mut row = vec![Value::Int(first), Value::Int(last)];
        row.extend(hosts);
        Value::Array(row)
    }

    #[test]
    fn a_slot_without_a_node_has_no_primary() {
        let reply = Value::Array(vec![
            range(10_000, 16_383, &[("b", 2)]),
            range(0, 5_000, &[("", 1), ("r", 9)]),
        ]);
        let map = SlotMap::parse(&reply, "asked").unwrap();
        let primary = |slot| map.primary(slot).map(ToString::to_string);
        assert_eq!(primary(0).as_deref(), Some("asked:1"));
        assert_eq!(primary(5_000).as_deref(), Some("asked:1"));
        assert_eq!(primary(5_001), None);
        assert_eq!(primary(9_999), None);
        assert_eq!(primary(16_383).as_deref(), Some("b:2"));
        assert_eq!(map.nodes().len(), 3);
        assert_eq!(map.primaries().len(), 2);
    }

    #[test]
    fn another_reply_is_no_map() {
        for reply in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(0, 16_384, &[("a", 1)])]),
            Value::Array(vec![range(-1, 5, &[("a", 1)])]),
            Value::Array(vec![range(0, 5, &[("a", 70_000)])]),
            Value::Array(vec![range(0, 5, &[])]),
        ] {
            assert!(SlotMap::parse(&reply, "asked").is_none(), "{reply:?}");
        }
    }
}
