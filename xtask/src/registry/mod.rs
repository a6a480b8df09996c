//! `cargo xtask registry`: coffer-registry beside another registry, at the same work in the same run.
//!
//! Blobs in and out (MB/s, processor time per GB), manifests per second over several connections, memory. Each round
//! measures one registry and then the other, so that a slow moment of the machine hits both; medians are shown.

mod client;
mod server;

use client::{Client, sha256};
use server::Server;
use std::time::Instant;

const USAGE: &str = "usage: cargo xtask registry [--rounds N] [--megabytes N] PROGRAM [REFERENCE]
       PROGRAM is coffer-registry, REFERENCE Debian's docker-registry (both with their paths)";
/// Connections that ask for manifests at the same time, and how often each does.
const ASKERS: usize = 4;
const ASKS: usize = 2500;

/// What one registry did in one round.
#[derive(Debug, Default, Clone, Copy)]
struct Round {
    put: f64,
    put_cpu: f64,
    get: f64,
    get_cpu: f64,
    small: f64,
    manifests: f64,
    manifests_cpu: f64,
}

/// A line of the report.
type Row = (&'static str, fn(&Round) -> f64);

/// Runs the comparison that the arguments describe.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (mut rounds, mut megabytes, mut programs) = (5, 256, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next().and_then(|n| n.parse().ok()).ok_or(USAGE.to_owned());
        match argument.as_str() {
            "--rounds" => rounds = number()?,
            "--megabytes" => megabytes = number()?,
            program => programs.push(program.to_owned()),
        }
    }
    if programs.is_empty() || programs.len() > 2 || rounds == 0 || megabytes == 0 {
        return Err(USAGE.to_owned());
    }
    let ours = Server::ours(&programs[0])?;
    let reference = programs.get(1).map(|program| Server::reference(program)).transpose()?;
    let servers: Vec<&Server> = std::iter::once(&ours).chain(&reference).collect();
    let idle: Vec<f64> = servers.iter().map(|server| server.memory("VmRSS")).collect();
    let mut results = vec![Vec::new(); servers.len()];
    for round in 0..rounds {
        for (server, results) in servers.iter().zip(&mut results) {
            results.push(measure(server, megabytes << 20, round)?);
        }
    }
    let peak: Vec<f64> = servers.iter().map(|server| server.memory("VmHWM")).collect();
    report(&results, &idle, &peak);
    Ok(())
}

fn measure(server: &Server, length: usize, round: usize) -> Result<Round, String> {
    let mut client = Client::connect(server.port)?;
    let blob = client::noise(length, round as u64 + 1);
    let digest = sha256(&blob);
    let gigabytes = length as f64 / 1e9;
    let mut result = Round::default();

    let (begun, cpu) = (Instant::now(), server.cpu());
    client.push("bench/large", &blob, &digest)?;
    result.put = length as f64 / 1e6 / begun.elapsed().as_secs_f64();
    result.put_cpu = (server.cpu() - cpu) / gigabytes;

    let (begun, cpu) = (Instant::now(), server.cpu());
    let times = 4;
    for _ in 0..times {
        let got = client.get(&format!("/v2/bench/large/blobs/{digest}"))?;
        if got != length {
            return Err(format!("blob of {length} bytes came with {got}"));
        }
    }
    result.get = (times * length) as f64 / 1e6 / begun.elapsed().as_secs_f64();
    result.get_cpu = (server.cpu() - cpu) / (gigabytes * f64::from(times as u32));

    let begun = Instant::now();
    let small = 50;
    for number in 0..small {
        let blob = client::noise(4096, (round * small + number) as u64 + 1000);
        client.push("bench/small", &blob, &sha256(&blob))?;
    }
    result.small = f64::from(small as u32) / begun.elapsed().as_secs_f64();

    client.push_manifest("bench/small")?;
    let (begun, cpu) = (Instant::now(), server.cpu());
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..ASKERS).map(|_| scope.spawn(|| ask(server.port))).collect();
        askers
            .into_iter()
            .try_for_each(|asker| asker.join().map_err(|_| "a client broke".to_owned()).flatten())
    })?;
    result.manifests = (ASKERS * ASKS) as f64 / begun.elapsed().as_secs_f64();
    result.manifests_cpu = (server.cpu() - cpu) * 1e6 / (ASKERS * ASKS) as f64;
    Ok(result)
}

fn ask(port: u16) -> Result<(), String> {
    let mut client = Client::connect(port)?;
    for _ in 0..ASKS {
        client.get("/v2/bench/small/manifests/latest")?;
    }
    Ok(())
}

fn report(results: &[Vec<Round>], idle: &[f64], peak: &[f64]) {
    let rows: [Row; 7] = [
        ("blob PUT, MB/s", |round| round.put),
        ("  processor s/GB", |round| round.put_cpu),
        ("blob GET, MB/s", |round| round.get),
        ("  processor s/GB", |round| round.get_cpu),
        ("4 KiB blobs PUT, /s", |round| round.small),
        ("manifest GETs, /s", |round| round.manifests),
        ("  processor us each", |round| round.manifests_cpu),
    ];
    println!("{:24}{:>14}{:>14}{:>9}", "median", "coffer", "reference", "ratio");
    for (name, value) in rows {
        line(name, &results.iter().map(|rounds| median(rounds, value)).collect::<Vec<_>>());
    }
    line("memory idle, MiB", idle);
    line("memory peak, MiB", peak);
}

fn line(name: &str, values: &[f64]) {
    print!("{name:24}");
    for value in values {
        print!("{value:>14.2}");
    }
    if let [ours, reference] = values {
        print!("{:>9.2}", ours / reference);
    }
    println!();
}

fn median(rounds: &[Round], value: fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
