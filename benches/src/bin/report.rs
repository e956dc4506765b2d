//! The time and the memory that a report of many records needs.
//!
//! `bench-report N` reads N records of two providers, and prints the seconds and the peak of memory in
//! MiB. The records are made while they are read, from a block of 10,000.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::io::{self, BufReader, Read};
use std::time::Instant;

use human_check_compare::{RecordReader, Tally};

/// Repeats a block of lines until so many were read.
struct Repeated {
    block: Vec<u8>,
    at: usize,
    blocks_left: usize,
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            self.at = 0;
            self.blocks_left -= 1;
        }
        if self.blocks_left == 0 {
            return Ok(0);
        }
        let rest = &self.block[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}

fn main() {
    const BLOCK: usize = 10_000;
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let lines = (0..BLOCK).map(|line| {
        let latency = 20.0 + (line * 7_919 % 880_000) as f64 / 1e3;
        let outcome = ["human", "human", r#"not-human","reason":"expired"#][line % 3];
        format!(
            r#"{{"at":"2026-11-{:02}T{:02}:{:02}:00Z","observations":[{{"provider":"turnstile","outcome":"human","latency_ms":{latency}}},{{"provider":"hcaptcha","outcome":"{outcome}","latency_ms":{}}}]}}"#,
            1 + line / 400,
            line / 60 % 24,
            line % 60,
            latency / 2.0
        ) + "\n"
    });
    let source = Repeated {
        block: lines.collect::<String>().into_bytes(),
        at: 0,
        blocks_left: n.div_ceil(BLOCK),
    };
    let start = Instant::now();
    let mut tally = Tally::new();
    let mut records = RecordReader::new(BufReader::new(source));
    while let Some((_, record)) = records.read().unwrap() {
        tally.add_line(&record.unwrap());
    }
    let statistics = tally.statistics();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(statistics.records, n.div_ceil(BLOCK) as u64 * BLOCK as u64);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: f64 = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    println!("{seconds:.1} {:.0}", peak / 1_024.0);
}
