//! Times an engine over its socket, operation by operation, beside a reference engine: the two take turns, so that the
//! machine's drift hits both. Prints medians, minima, and the ratio of medians with what it should be at most.
//!
//! Both engines need an image `busybox:latest`, and their processes must be in this machine's pid namespace. Nothing is
//! left behind.
//!
//! Reading order: [`options`], [`operations`] (the API), [`programs`] (the command line, the start of a daemon), [`cpu`]
//! and [`memory`] (what the engine's processes use), [`report`].

pub(crate) mod cpu;
pub(crate) mod http;
pub(crate) mod memory;
mod operations;
mod options;
mod programs;
mod report;

use http::Engine;
use options::Options;
use std::collections::BTreeMap;
use std::time::Instant;

/// Measured values by the operation's name.
type Times = BTreeMap<String, Vec<f64>>;

/// Runs the benchmark with the arguments of the command line.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let mut results = vec![Times::new(); options.engines.len()];
    for (engine, times) in options.engines.iter().zip(&mut results) {
        weigh(engine, times)?;
    }
    measure(&options, &mut results)?;
    for (engine, times) in options.engines.iter().zip(&mut results) {
        operations::weigh_containers(engine, times)?;
    }
    if let Some(program) = &options.daemon
        && let Some(times) = results.first_mut()
    {
        programs::start_daemon(program, times)?;
    }
    report::print(&results);
    Ok(())
}

/// All processes of an engine as it is found: run the benchmark on one that has just been started to learn what an idle
/// one needs.
fn weigh(engine: &Engine, times: &mut Times) -> Result<(), String> {
    let memory = memory::tree(memory::daemon(engine)?);
    note(times, "all processes, as found: PSS in KiB", memory.pss as f64);
    Ok(())
}

fn measure(options: &Options, results: &mut [Times]) -> Result<(), String> {
    let engines = &options.engines;
    let accounts = engines
        .iter()
        .map(|engine| cpu::Account::open(memory::daemon(engine)?))
        .collect::<Result<Vec<_>, String>>()?;
    let each = || engines.iter().zip(&accounts);
    for (engine, account) in each() {
        operations::round(engine, account, &mut Times::new())?;
    }
    for _ in 0..options.rounds {
        for ((engine, account), times) in each().zip(&mut *results) {
            operations::round(engine, account, times)?;
        }
    }
    for _ in 0..3 {
        for ((engine, _), times) in each().zip(&mut *results) {
            operations::parallel(engine, times, 20)?;
        }
    }
    for (position, (engine, account)) in each().enumerate() {
        let Some(times) = results.get_mut(position) else { continue };
        if let Some(client) = options.clients.get(position) {
            programs::run_by_client(client, engine, times, options.rounds)?;
        }
        if let Some(count) = options.many {
            operations::list_many(engine, times, count)?;
        }
        if let Some(count) = options.lines {
            operations::log_lines(engine, account, times, count)?;
        }
    }
    Ok(())
}

fn note(times: &mut Times, name: &str, value: f64) {
    times.entry(name.to_owned()).or_default().push(value);
}

fn timed<T>(
    times: &mut Times,
    name: &str,
    act: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    let result = act()?;
    note(times, name, start.elapsed().as_secs_f64() * 1e3);
    Ok(result)
}
