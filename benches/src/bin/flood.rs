//! What an application and its honest visitors notice of a flood.
//!
//! `bench-flood PROGRAM` starts an example, such as `target/release/example-axum-login`, against an
//! emulated Turnstile, and sends one honest sign-up after the other: alone, and beside each flood. It
//! prints a line for each: the name, the median and the 99th percentile of the honest sign-ups in
//! milliseconds, how many of them passed in percent, the memory of the program in MiB, and its open
//! files.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long each flood lasts.
const LASTS: Duration = Duration::from_secs(10);

/// The application under the flood.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(path: &str, emulator: &Emulator) -> Self {
        let account = EmulatedAccount::for_provider("turnstile");
        let mut child = Command::new(path)
            .env("HUMAN_CHECK_PROVIDER", "turnstile")
            .env("HUMAN_CHECK_SITE_KEY", account.site_key)
            .env("HUMAN_CHECK_SECRET", account.secret)
            .env("HUMAN_CHECK_BASE_URL", emulator.base_url())
            .env("ADDR", "127.0.0.1:0")
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| line.unwrap().rsplit_once("http://")?.1.trim().parse().ok())
            .unwrap();
        // Nothing reads it any more, and a full pipe would stop the program.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// Returns the memory in MiB and the number of open files.
    fn size(&self) -> (f64, usize) {
        let process = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident: f64 = resident
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        let files = std::fs::read_dir(format!("{process}/fd")).unwrap().count();
        (resident / 1_024.0, files)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a sign-up with a token on a connection of its own. Returns the status.
async fn sign_up(address: SocketAddr, token: &str) -> std::io::Result<u16> {
    let body = format!("email=ada%40example.com&cf-turnstile-response={token}");
    let request = format!(
        "POST /signup HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    let status = reply
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(status.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}

/// Opens a connection whose body comes one byte a second.
async fn slow_body(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let head = "POST /signup HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 60000\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    loop {
        stream.write_all(b"a").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Opens a connection that sends the beginning of a head and stays open.
async fn open(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\n").await?;
    let mut end = [0];
    stream.read(&mut end).await.map(drop)
}

/// Sends honest sign-ups until the flood is over, and prints the line.
async fn honest(named: &str, program: &Program, emulator: &Emulator) {
    let (start, mut times, mut passed) = (Instant::now(), Vec::new(), 0_u32);
    let (mut memory, mut files) = (0.0_f64, 0);
    while start.elapsed() < LASTS {
        let token = emulator.mint(&Mint::for_provider("turnstile")).unwrap();
        let sent = Instant::now();
        let status = sign_up(program.address, &token).await.unwrap_or(0);
        times.push(sent.elapsed().as_secs_f64() * 1_000.0);
        passed += u32::from(status == 200);
        let size = program.size();
        (memory, files) = (memory.max(size.0), files.max(size.1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    let share = f64::from(passed) * 100.0 / f64::from(u32::try_from(times.len()).unwrap());
    println!(
        "{named}: {:.1} ms, {:.1} ms, {share:.0} %, {memory:.0} MiB, {files} files",
        at(50),
        at(99)
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let path = std::env::args().nth(1).unwrap();
    let emulator = Emulator::start().await.unwrap();
    let program = Program::start(&path, &emulator);
    let address = program.address;
    honest("alone", &program, &emulator).await;

    let (go, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let mut flood = JoinSet::new();
    for nth in 0..64 {
        let (go, sent) = (Arc::clone(&go), Arc::clone(&sent));
        flood.spawn(async move {
            let mut number = 0_u64;
            while go.load(Ordering::Relaxed) {
                number += 1;
                let _ = sign_up(address, &format!("0.junk-{nth}-{number}-junk")).await;
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    honest("junk tokens on 64 connections", &program, &emulator).await;
    go.store(false, Ordering::Relaxed);
    flood.join_all().await;
    println!("junk tokens: {} in all", sent.load(Ordering::Relaxed));

    let mut flood = JoinSet::new();
    for _ in 0..2_000 {
        flood.spawn(async move {
            loop {
                let _ = slow_body(address).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    honest("2,000 slow bodies", &program, &emulator).await;
    flood.shutdown().await;

    let mut flood = JoinSet::new();
    for _ in 0..10_000 {
        flood.spawn(async move {
            let _ = open(address).await;
        });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    honest("10,000 open connections", &program, &emulator).await;
    flood.shutdown().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    honest("after all of them", &program, &emulator).await;
}
