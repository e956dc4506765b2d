//! The memory that a deployment holds after many reloads.
//!
//! `bench-reloads N` prints the bytes in use after the start, after the first reload and after N
//! reloads, and the ratio of the last to the first. Every reload has another secret.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::alloc::System;
use std::path::Path;

use human_check_config::Deployment;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Writes the configuration, with a secret of this number.
fn write(file: &Path, number: usize) {
    let secret = format!("0x4AAAAAAABenchSecret{number:014}");
    std::fs::write(file.with_file_name("secret"), secret).unwrap();
    std::fs::write(file, CONFIG).unwrap();
}

const CONFIG: &str = r#"
[check]
use = "turnstile"
dual_accept = { use = "acme" }

[providers.turnstile]
kind = "turnstile"
secret = { file = "secret" }
site_key = "0x4AAAAAAABenchSiteKey"

[providers.acme]
kind = "siteverify"
site_key = "acme-site-key"
secret = { file = "secret" }
fields = ["acme-response"]
hostnames = ["www.example.com"]

[providers.acme.dialect]
url = "https://captcha.example/siteverify"

[providers.acme.dialect.widget]
script = "https://captcha.example/widget.js"
class = "acme"

[routes.signup]
hostnames = ["www.example.com"]

[routes.login]
hostnames = ["www.example.com"]
"#;

fn main() {
    let reloads: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("human-check.toml");
    let region = Region::new(ALLOCATOR);
    let in_use = || {
        let change = region.change();
        change.bytes_allocated - change.bytes_deallocated
    };
    write(&file, 0);
    let deployment = Deployment::load(&file).unwrap();
    let guards = ["signup", "login"].map(|route| deployment.guard(route).unwrap());
    let start = in_use();
    let mut after_first = 0;
    for number in 1..=reloads {
        write(&file, number);
        assert!(deployment.reload().unwrap());
        if number == 1 {
            after_first = in_use();
        }
    }
    let end = in_use();
    drop(guards);
    println!(
        "{start} {after_first} {end} {:.3}",
        end as f64 / start as f64
    );
}
