//! `update`.

use crate::arg::{Flags, value};
use crate::command::Invocation;
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::output;
use crate::parse::{limits, size};
use api_types::container::UpdateBody;
use clap::Arg;
use client_http::Request;
use serde_json::Value;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        value(
            "blkio-weight",
            None,
            "uint16",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
        ),
        value("cpu-period", None, "int", "Limit CPU CFS (Completely Fair Scheduler) period"),
        value("cpu-quota", None, "int", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        value("cpu-rt-period", None, "int", "Limit the CPU real-time period in microseconds"),
        value("cpu-rt-runtime", None, "int", "Limit the CPU real-time runtime in microseconds"),
        value("cpu-shares", 'c', "int", "CPU shares (relative weight)"),
        value("cpus", None, "decimal", "Number of CPUs"),
        value("cpuset-cpus", None, "string", "CPUs in which to allow execution (0-3, 0,1)"),
        value("cpuset-mems", None, "string", "MEMs in which to allow execution (0-3, 0,1)"),
        value("memory", 'm', "bytes", "Memory limit"),
        value("memory-reservation", None, "bytes", "Memory soft limit"),
        value(
            "memory-swap",
            None,
            "bytes",
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
        ),
        value("pids-limit", None, "int", "Tune container pids limit (set -1 for unlimited)"),
        value("restart", None, "string", "Restart policy to apply when a container exits"),
    ]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    if !self::flags().iter().any(|arg| flags.given(arg.get_id().as_str())) {
        return Err(Failure::Plain(
            "you must provide one or more flags when using this command".into(),
        ));
    }
    let body = body(&flags)?;
    let client = session.client().await?;
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for name in &args {
        let request = Request::post(container_path(name, "/update")).json(&body)?;
        match client.send(request).await {
            Ok(response) => {
                let reply: Value = response.json().await?;
                warnings.extend(
                    reply["Warnings"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .map(str::to_owned),
                );
                output::line(name)?;
            }
            Err(error) => errors.push(Failure::Engine(error).to_string()),
        }
    }
    if !warnings.is_empty() {
        output::line(warnings.join("\n"))?;
    }
    Failure::unless_empty(errors)
}

fn body(flags: &Flags) -> Result<UpdateBody, Failure> {
    let number = |name: &'static str| Ok::<_, Failure>(flags.number(name)?.unwrap_or_default());
    let bytes = |name: &'static str| match flags.text_of(name) {
        None => Ok(0),
        Some(text) if name == "memory-swap" => {
            size::bytes_or_unlimited(text).map_err(|reason| Failure::flag(name, text, &reason))
        }
        Some(text) => size::bytes(text).map_err(|reason| Failure::flag(name, text, &reason)),
    };
    let nano_cpus = match flags.text_of("cpus") {
        None => 0,
        Some(text) => {
            size::nano_cpus(text).map_err(|reason| Failure::flag("cpus", text, &reason))?
        }
    };
    Ok(UpdateBody {
        restart_policy: limits::restart(&flags.text("restart")).map_err(Failure::Plain)?,
        blkio_weight: u16::try_from(number("blkio-weight")?).map_err(|_| {
            Failure::flag("blkio-weight", &flags.text("blkio-weight"), "value out of range")
        })?,
        cpu_shares: number("cpu-shares")?,
        memory: bytes("memory")?,
        memory_reservation: bytes("memory-reservation")?,
        memory_swap: bytes("memory-swap")?,
        cpu_period: number("cpu-period")?,
        cpu_quota: number("cpu-quota")?,
        cpu_realtime_period: number("cpu-rt-period")?,
        cpu_realtime_runtime: number("cpu-rt-runtime")?,
        cpuset_cpus: flags.text("cpuset-cpus"),
        cpuset_mems: flags.text("cpuset-mems"),
        nano_cpus,
        pids_limit: flags.number("pids-limit")?,
        ..UpdateBody::default()
    })
}
