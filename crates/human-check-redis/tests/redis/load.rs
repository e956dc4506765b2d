//! Claims that go on while servers fail.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

/// Callers that claim tokens all the time, each token with three clients, and who won what.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) firsts: HashMap<String, usize>,
    pub(crate) errors: HashMap<&'static str, usize>,
}

impl Load {
    pub(crate) fn start(client: impl Fn() -> RedisClient, replicas: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stores: Vec<_> = (0..3)
            .map(|_| replay_store(&client()).with_replicas(replicas))
            .collect();
        let start = |caller: usize| {
            let (stop, seen, stores) = (Arc::clone(&stop), Arc::clone(&seen), stores.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let token = format!("{caller}-{n}");
                    for store in &stores {
                        let outcome = claim(store, &token).await;
                        let mut seen = seen.lock().unwrap();
                        match outcome {
                            Ok(Claimed::First) => {
                                *seen.firsts.entry(token.clone()).or_default() += 1;
                            }
                            Ok(_) => {}
                            Err(error) => *seen.errors.entry(error.reason()).or_default() += 1,
                        }
                    }
                }
            })
        };
        Self {
            callers: (0..8).map(start).collect(),
            stop,
            seen,
        }
    }

    /// Waits until so many further tokens have passed.
    pub(crate) async fn more(&self, count: usize) {
        let before = self.seen.lock().unwrap().firsts.len();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while self.seen.lock().unwrap().firsts.len() < before + count {
            assert!(std::time::Instant::now() < deadline, "no token passes");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        let mut seen = self.seen.lock().unwrap();
        std::mem::take(&mut *seen)
    }
}
