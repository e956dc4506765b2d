use super::*;
use human_check_core::Claimed;
use human_check_guard::{AttemptKey, AttemptStore};
use human_check_redis::RedisAttemptStore;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Starts a server that replies to every command with these bytes.
async fn fake_server(reply: &'static [u8]) -> RedisClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    if stream.write_all(reply).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let url = Secret::new(format!("redis://127.0.0.1:{port}")).unwrap();
    RedisClient::new(&url)
        .unwrap()
        .with_response_timeout(Duration::from_millis(200))
}

#[tokio::test]
async fn only_ok_is_first_and_only_nil_is_a_duplicate() {
    let ok = replay_store(&fake_server(b"+OK\r\n").await);
    assert_eq!(claim(&ok, "a").await.unwrap(), Claimed::First);
    for nil in [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"] {
        let nil = replay_store(&fake_server(nil).await);
        assert_eq!(claim(&nil, "a").await.unwrap(), Claimed::Duplicate);
    }
    for invalid in [
        &b":1\r\n"[..],
        b":0\r\n",
        b"+QUEUED\r\n",
        b"+ok\r\n",
        b"+OK \r\n",
        b"$2\r\nOK\r\n",
        b"$0\r\n\r\n",
        b"*1\r\n+OK\r\n",
        b"*0\r\n",
        b"#t\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\0\xff\r\n",
    ] {
        let store = replay_store(&fake_server(invalid).await);
        for token in ["a", "b", "c"] {
            let claimed = claim(&store, token).await;
            let error = claimed.expect_err(&String::from_utf8_lossy(invalid));
            let expected = ["store-protocol", "store-unreachable"];
            assert!(
                expected.contains(&error.reason()),
                "{invalid:?}: {}",
                error.reason()
            );
        }
    }
}

#[tokio::test]
async fn error_replies_have_reasons() {
    for (reply, expected) in [
        (
            &b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"[..],
            "store-full",
        ),
        (
            b"-READONLY You can't write against a read only replica.\r\n",
            "store-readonly",
        ),
        (
            b"-MISCONF Redis is configured to save RDB snapshots\r\n",
            "store-readonly",
        ),
        (
            b"-LOADING Redis is loading the dataset in memory\r\n",
            "store-loading",
        ),
        (b"-NOAUTH Authentication required.\r\n", "store-auth"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "store-other"),
        (
            b"-CLUSTERDOWN The cluster is down\r\n",
            "store-cluster-down",
        ),
        (b"-ERR unknown command\r\n", "store-other"),
        (b"-\r\n", "store-other"),
    ] {
        let store = replay_store(&fake_server(reply).await);
        let text = String::from_utf8_lossy(reply);
        assert_eq!(reason(&store, "a").await, expected, "{text}");
        assert_eq!(reason(&store, "a").await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_an_error_in_time() {
    for (half, expected) in [(&b""[..], "store-timeout"), (b"$10\r\nOK", "store-timeout")] {
        let store = replay_store(&fake_server(half).await);
        let start = Instant::now();
        assert_eq!(reason(&store, "a").await, expected);
        assert!(start.elapsed() < Duration::from_millis(600));
    }
}

#[tokio::test]
async fn a_command_is_written_once_whatever_becomes_of_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let commands = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&commands);
    // Reads one command on each connection and closes it.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4_096];
            if let Ok(1..) = stream.read(&mut buffer).await {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let url = Secret::new(format!("redis://127.0.0.1:{port}")).unwrap();
    let store = replay_store(&RedisClient::new(&url).unwrap().with_connections(1));
    // Claims that come too soon after a connection broke get an error without a command.
    let mut claims = 0;
    until(async || {
        assert_eq!(reason(&store, "a").await, "store-unreachable");
        claims += 1;
        let written = commands.load(Ordering::Relaxed);
        assert!(written <= claims, "{written} commands for {claims} claims");
        written == 5
    })
    .await;
}

#[tokio::test]
async fn a_login_without_a_reply_is_an_error_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = Secret::new(format!("redis://:hunter2@127.0.0.1:{port}")).unwrap();
    let server = RedisClient::new(&url)
        .unwrap()
        .with_connect_timeout(Duration::from_millis(200));
    let store = replay_store(&server);
    let start = Instant::now();
    assert_eq!(reason(&store, "a").await, "store-unreachable");
    assert!(start.elapsed() < Duration::from_millis(600));
}

#[tokio::test]
async fn a_password_that_the_server_repeats_is_not_shown() {
    let reply = b"-ERR unknown command `AUTH`, with args beginning with: `hunter2`, \r\n";
    let server = fake_server(reply).await;
    let address = format!("{server:?}");
    let port: String = address
        .split("127.0.0.1:")
        .nth(1)
        .unwrap()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let url = Secret::new(format!("redis://:hunter2@127.0.0.1:{port}")).unwrap();
    let store = replay_store(&RedisClient::new(&url).unwrap());
    let error = claim(&store, "a").await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    let shown = format!("{error} {error:?} {cause} {cause:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn invalid_replies_about_attempts_are_errors() {
    for invalid in [
        &b"+OK\r\n"[..],
        b":0\r\n",
        b":-5\r\n",
        b"$2\r\n-1\r\n",
        b"$3\r\nabc\r\n",
        b"*0\r\n",
    ] {
        let store = RedisAttemptStore::new(&fake_server(invalid).await, &secret());
        let key = AttemptKey::named("ada");
        let text = String::from_utf8_lossy(invalid);
        assert!(store.add(&key, MINUTE).await.is_err(), "{text}");
        assert!(store.count(&key).await.is_err(), "{text}");
    }
}
