//! The worker as a process of its own, confined as in production and asked over its sockets.
//!
//! Not run by the usual harness: the worker is a fork of this process, which must have one thread.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "worker_parts/cases.rs"]
mod cases;
#[path = "worker_parts/children.rs"]
mod children;
#[path = "worker_parts/copies.rs"]
mod copies;
#[path = "worker_parts/engine.rs"]
mod engine;
#[path = "worker_parts/layers.rs"]
mod layers;

use std::panic::{AssertUnwindSafe, catch_unwind};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|text| !text.starts_with('-')).collect();
    let exact = arguments.iter().any(|text| text == "--exact");
    let wanted = |name: &str| {
        let matches = |filter: &&&String| {
            if exact { name == filter.as_str() } else { name.contains(filter.as_str()) }
        };
        filters.is_empty() || filters.iter().any(|filter| matches(&filter))
    };
    if arguments.iter().any(|text| text == "--list") {
        cases::ALL.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let chosen: Vec<_> = cases::ALL.iter().filter(|(name, _)| wanted(name)).collect();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = Vec::new();
    for (name, case) in &chosen {
        let passed = catch_unwind(AssertUnwindSafe(case)).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    println!("\ntest result: {} passed; {} failed\n", chosen.len() - failed.len(), failed.len());
    assert!(failed.is_empty(), "failed: {failed:?}");
}
