//! Against a real server, started for each test on a port of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

mod attempts;
mod lies;
mod processes;
mod redis_server;
mod spent;
