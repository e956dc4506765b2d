use std::time::Duration;

use human_check::{Claim, Provider, Secret, SpentTokens, Submission};
use human_check_redis::{RedisServer, RedisSpent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::redis_server::digest_secret;

static ACME: Provider = Provider::new("acme", &["acme-response"]);

/// Something that answers every command like this, or not at all.
async fn liar(answer: &'static [u8]) -> RedisSpent {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    let said = &buffer[..read];
                    // What the client says for itself when it connects is answered politely.
                    let own = [&b"CLIENT"[..], b"HELLO", b"SELECT"];
                    let polite = own
                        .iter()
                        .any(|word| said.windows(word.len()).any(|w| w == *word));
                    let answer: &[u8] = if polite { b"+OK\r\n+OK\r\n" } else { answer };
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let url = Secret::new(format!("redis://127.0.0.1:{port}")).unwrap();
    let server = RedisServer::with_limits(&url, Duration::from_millis(200), 16).unwrap();
    RedisSpent::new(server, &digest_secret())
}

#[tokio::test]
async fn a_server_that_lies_or_says_nothing_lets_nobody_pass() {
    for answer in [
        &b":1\r\n"[..],
        b"+QUEUED\r\n",
        b"+ok\r\n",
        b"$2\r\nOK\r\n",
        b"*0\r\n",
        b"*1\r\n+OK\r\n",
        b"#t\r\n",
        b"%0\r\n",
        b"-ERR no\r\n",
        b"-OOM no\r\n",
        b"-MOVED 1 127.0.0.1:1\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\xff\xfe\0\0",
        b"$99999999999\r\n",
        b"",
    ] {
        let store = liar(answer).await;
        for _ in 0..3 {
            let submission = Submission::new().with_token(&ACME, "token");
            let claim = Claim::answer(&submission, &ACME);
            let claimed = store.claim(claim, Duration::from_secs(600)).await;
            assert!(
                claimed.is_err(),
                "{:?}: {claimed:?}",
                String::from_utf8_lossy(answer)
            );
        }
    }
}
