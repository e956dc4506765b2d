//! The time and the memory that a report of many records needs.
//!
//! `bench-report N` reads N records of two providers, and `bench-report N events` N events of an
//! experiment. Both print the seconds and the peak of memory in MiB. The lines are made while they are
//! read: records from a block of 10,000, events with a receipt of their own for each visitor.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::io::{self, BufReader, Read};
use std::time::Instant;

use human_check_compare::{ExperimentTally, Input, RecordReader, Tally};

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

/// The header of the events.
const HEADER: &str = r#"{"version":2,"at":"2026-11-01T00:00:00Z","writer":"a","file":1,"config":"c","experiment":{"name":"signup","arms":[{"name":"hcaptcha","weights":[0.5]},{"name":"turnstile","weights":[0.5]}],"planned":1000000}}"#;

/// Makes the events of an experiment: each visitor is shown a challenge, loads and solves it, is judged
/// and completes.
struct Events {
    line: Vec<u8>,
    at: usize,
    nth: usize,
    end: usize,
}

impl Events {
    fn next(&mut self) {
        let (visitor, event) = (self.nth / 5, self.nth % 5);
        // Receipts are random in use, so neighbours must not be alike.
        let receipt = (visitor as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let arm = ["hcaptcha", "turnstile"][visitor % 2];
        let (day, minute) = (1 + visitor * 28 / (self.end / 5 + 1), visitor % 60);
        let at = format!("2026-11-{day:02}T09:{minute:02}:00Z");
        let more = match event {
            0 => format!(
                r#""event":"shown","bucket":{},"provider":"{arm}","why":"arm""#,
                visitor % 256
            ),
            1 => format!(r#""event":"loaded","ms":{}.5"#, 200 + visitor % 900),
            2 => format!(r#""event":"solved","ms":{}.25"#, 800 + visitor % 9_000),
            3 => format!(r#""event":"judged","provider":"{arm}","outcome":"human","ms":41.2"#),
            _ => r#""event":"completed""#.to_owned(),
        };
        self.line = format!(
            r#"{{"at":"{at}",{more},"receipt":"{receipt:032x}","route":"signup","arm":"{arm}","step":0,"first":true}}"#
        )
        .into_bytes();
        self.line.push(b'\n');
        (self.at, self.nth) = (0, self.nth + 1);
    }
}

impl Read for Events {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.line.len() {
            if self.nth == self.end {
                return Ok(0);
            }
            self.next();
        }
        let rest = &self.line[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}

fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let start = Instant::now();
    match std::env::args().nth(2).as_deref() {
        Some("events") => events(n),
        _ => records(n),
    }
    let seconds = start.elapsed().as_secs_f64();
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

fn events(n: usize) {
    let source = Events {
        line: format!("{HEADER}\n").into_bytes(),
        at: 0,
        nth: 0,
        end: n,
    };
    let mut tally = ExperimentTally::new();
    let mut lines = RecordReader::new(BufReader::new(source));
    while let Some((_, line)) = lines.read().unwrap() {
        tally.add_line(&line.unwrap());
    }
    let statistics = tally.statistics_of(Input::default());
    let shown: u64 = statistics.arms.iter().map(|arm| arm.shown).sum();
    assert_eq!(shown, n.div_ceil(5) as u64);
}

fn records(n: usize) {
    const BLOCK: usize = 10_000;
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
    let mut tally = Tally::new();
    let mut records = RecordReader::new(BufReader::new(source));
    while let Some((_, record)) = records.read().unwrap() {
        tally.add_line(&record.unwrap());
    }
    let statistics = tally.statistics();
    assert_eq!(statistics.records, n.div_ceil(BLOCK) as u64 * BLOCK as u64);
}
