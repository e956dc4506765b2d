use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};

use crate::error::{RedisStoreError, reply};

/// A command, and what goes with it on the same connection.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    command: &'a Cmd,
    /// Whether `ASKING` goes before it: the key is on its way to this node of a cluster.
    asking: bool,
    /// For how many replicas, and how long, the server waits after it.
    replicas: Option<(u32, Duration)>,
}

/// The reply to a [`Request`].
pub(crate) struct Reply {
    pub(crate) value: Value,
    /// How many replicas have what was written, if the request waits for some.
    pub(crate) replicas: Option<i64>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(command: &'a Cmd) -> Self {
        Self {
            command,
            asking: false,
            replicas: None,
        }
    }

    /// Sets how many replicas must have the write, and how long the server waits for them.
    pub(crate) fn with_replicas(mut self, count: u32, limit: Duration) -> Self {
        self.replicas = Some((count, limit));
        self
    }

    /// Sets whether `ASKING` goes before the command.
    pub(crate) fn with_asking(mut self, asking: bool) -> Self {
        self.asking = asking;
        self
    }

    /// Writes everything at once and reads the reply. A redirection of a cluster is a value, and
    /// any other error reply is an error.
    pub(crate) async fn send(
        self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Reply, RedisStoreError> {
        if !self.asking && self.replicas.is_none() {
            let value = connection.send_packed_command(self.command).await;
            let value = value.map_err(|error| RedisStoreError::from_client(&error))?;
            let value = reply(value)?;
            return Ok(Reply {
                value,
                replicas: None,
            });
        }
        let mut pipeline = Pipeline::with_capacity(3);
        if self.asking {
            pipeline.cmd("ASKING");
        }
        pipeline.add_command(self.command.clone());
        if let Some((count, limit)) = self.replicas {
            let wait = pipeline.cmd("WAIT");
            // Zero would mean to wait for ever.
            wait.arg(count).arg((limit.as_millis() as u64).max(1));
        }
        let values = connection
            .send_packed_commands(&pipeline, 0, pipeline.len())
            .await
            .map_err(|error| RedisStoreError::from_client(&error))?;
        let mut values = values.into_iter();
        if self.asking {
            reply(values.next().ok_or(RedisStoreError::PROTOCOL)?)?;
        }
        let value = reply(values.next().ok_or(RedisStoreError::PROTOCOL)?)?;
        // A node that redirects has written nothing. One that has become a replica cannot wait either,
        // and that error must not hide where the command belongs.
        if let Value::ServerError(_) = value {
            return Ok(Reply {
                value,
                replicas: None,
            });
        }
        let replicas = match values.next().map(reply).transpose()? {
            None => None,
            Some(Value::Int(count)) => Some(count),
            Some(_) => return Err(RedisStoreError::PROTOCOL),
        };
        Ok(Reply { value, replicas })
    }
}
