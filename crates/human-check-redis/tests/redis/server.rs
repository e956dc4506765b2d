//! A real redis-server on a random loopback port. Dropping it ends the process and removes its
//! directory.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use human_check_core::Secret;
use human_check_redis::RedisClient;
use redis::Value;
use tempfile::TempDir;

pub(crate) struct Server {
    pub(crate) port: u16,
    options: Vec<String>,
    directory: TempDir,
    child: Option<Child>,
    is_sentinel: bool,
}

/// The program of the servers: that of the variable `HUMAN_CHECK_REDIS_SERVER`, or `redis-server`.
fn program() -> String {
    std::env::var("HUMAN_CHECK_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with further lines of redis.conf, such as `maxmemory 2mb`.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::begin(options, false)
    }

    /// Starts a sentinel with further lines of its configuration.
    pub(crate) fn sentinel(options: &[&str]) -> Self {
        Self::begin(options, true)
    }

    fn begin(options: &[&str], is_sentinel: bool) -> Self {
        let mut server = Self {
            port: 0,
            options: options.iter().map(|line| (*line).to_owned()).collect(),
            directory: tempfile::tempdir().unwrap(),
            child: None,
            is_sentinel,
        };
        for _ in 0..50 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            server.port = listener.local_addr().unwrap().port();
            // A node of a cluster also listens 10,000 above.
            let is_low = server.port < u16::MAX - 10_000;
            let has_bus = is_low && TcpListener::bind(("127.0.0.1", server.port + 10_000)).is_ok();
            drop(listener);
            if has_bus && server.launch() {
                return server;
            }
        }
        panic!("{} did not start on any of fifty ports", program());
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self) -> Secret {
        Secret::new(format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    pub(crate) fn client(&self) -> RedisClient {
        RedisClient::new(&self.url()).unwrap()
    }

    /// Ends the process at once. Its data is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Returns the number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends the process a signal, such as `STOP`, which makes it silent.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Starts the server again on the same port.
    pub(crate) fn start_again(&mut self) {
        assert!(self.launch(), "redis-server did not start again");
    }

    /// Runs a command over the Unix socket, apart from the TCP connections that are tested.
    pub(crate) fn run(&self, words: &[&str]) -> Value {
        self.try_run(words).unwrap()
    }

    fn try_run(&self, words: &[&str]) -> redis::RedisResult<Value> {
        let socket = self.directory().join("socket");
        let mut url = match self.is_sentinel {
            true => format!("redis://127.0.0.1:{}", self.port),
            false => format!("redis+unix://{}", socket.display()),
        };
        let password = |line: &String| line.strip_prefix("requirepass ").map(str::to_owned);
        if let Some(password) = self.options.iter().find_map(password) {
            url = match self.is_sentinel {
                true => url.replace("://", &format!("://:{password}@")),
                false => format!("{url}?pass={password}"),
            };
        }
        let mut connection = redis::Client::open(url)?.get_connection()?;
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut connection)
    }

    /// Starts the process. Returns false when it ended at once, for example because another process
    /// has taken the port.
    fn launch(&mut self) -> bool {
        let mut lines = vec![format!("port {}", self.port), "bind 127.0.0.1".to_owned()];
        if !self.is_sentinel {
            lines.push("save \"\"".to_owned());
            let socket = self.directory().join("socket");
            lines.push(format!("unixsocket {}", socket.display()));
        }
        lines.extend(self.options.iter().cloned());
        let file = self.directory().join("redis.conf");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let mode = self.is_sentinel.then_some("--sentinel");
        let spawned = Command::new(program())
            .arg(&file)
            .args(mode)
            .current_dir(self.directory())
            .stdout(Stdio::null())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!(
                "cannot run {} ({error}); install it, on Debian: apt-get install redis-server",
                program()
            )
        });
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            // A server whose default user is off replies as well.
            let reply = self.try_run(&["PING"]);
            if reply.is_ok() || reply.is_err_and(|error| error.code() == Some("NOAUTH")) {
                self.child = Some(child);
                return true;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("redis-server was started and does not reply within 20 seconds");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
