//! From flags to calls of the library.

use crate::print;
use clap::ArgMatches;
use oci::{
    BlockIo, Cpu, CreateOptions, Error, ExecOptions, Id, Memory, Pids, Resources, RunOptions,
    Runtime,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A command that needs no container; nothing if it is none of these.
pub(crate) fn without_state(name: &str, flags: &ArgMatches) -> Result<Option<u8>, Error> {
    match name {
        "features" => {
            let features = oci::features(env!("CARGO_PKG_VERSION"));
            print::text(&(print::indented(&features, b"    ") + "\n"));
        }
        "spec" => {
            let bundle = path(flags, "bundle").unwrap_or_else(|| ".".into());
            oci::write_template(&bundle, flags.get_flag("rootless"))?;
        }
        _ => return Ok(None),
    }
    Ok(Some(0))
}

/// Any other command.
pub(crate) fn with_state(runtime: &Runtime, name: &str, flags: &ArgMatches) -> Result<u8, Error> {
    if name == "list" {
        return list(runtime, flags);
    }
    let id = Id::parse(&text(flags, "id").unwrap_or_default())?;
    match name {
        "create" => runtime.create(&id, &creation(flags)?)?,
        "start" => runtime.start(&id)?,
        "run" => return runtime.run(&id, &run(flags)?),
        "exec" => return runtime.exec(&id, &exec(flags)?),
        "kill" => {
            let signal = text(flags, "signal").unwrap_or_default();
            runtime.kill(&id, &signal, flags.get_flag("all"))?;
        }
        "delete" => runtime.delete(&id, flags.get_flag("force"))?,
        "state" => {
            print::text(&print::indented(&runtime.state(&id)?, b"  "));
        }
        "pause" => runtime.pause(&id)?,
        "resume" => runtime.resume(&id)?,
        "ps" => ps(runtime, &id, flags)?,
        "events" => events(runtime, &id, flags)?,
        "update" => update(runtime, &id, flags)?,
        other => {
            let cause = "this runtime cannot save and restore running containers".to_owned();
            return Err(Error::Unsupported { what: other.to_owned(), cause });
        }
    }
    Ok(0)
}

fn text(flags: &ArgMatches, name: &str) -> Option<String> {
    flags.get_one::<String>(name).cloned()
}

fn path(flags: &ArgMatches, name: &str) -> Option<PathBuf> {
    text(flags, name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn list_of(flags: &ArgMatches, name: &str) -> Vec<String> {
    flags.get_many::<String>(name).unwrap_or_default().cloned().collect()
}

/// A number, if the flag is given.
fn number<T: std::str::FromStr>(flags: &ArgMatches, name: &str) -> Result<Option<T>, Error> {
    let Some(text) = text(flags, name).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| wrong(name, text, "a number"))
}

fn wrong(name: &str, value: String, allowed: &str) -> Error {
    Error::Value { field: format!("--{name}"), value, allowed: allowed.to_owned() }
}

fn creation(flags: &ArgMatches) -> Result<CreateOptions, Error> {
    Ok(CreateOptions {
        bundle: path(flags, "bundle").unwrap_or_else(|| ".".into()),
        console_socket: path(flags, "console-socket"),
        pid_file: path(flags, "pid-file"),
        pidfd_socket: path(flags, "pidfd-socket"),
        no_pivot: flags.get_flag("no-pivot"),
        no_new_keyring: flags.get_flag("no-new-keyring"),
        preserve_fds: number(flags, "preserve-fds")?.unwrap_or(0),
    })
}

fn run(flags: &ArgMatches) -> Result<RunOptions, Error> {
    Ok(RunOptions {
        create: creation(flags)?,
        detach: flags.get_flag("detach"),
        keep: flags.get_flag("keep"),
        no_subreaper: flags.get_flag("no-subreaper"),
    })
}

fn exec(flags: &ArgMatches) -> Result<ExecOptions, Error> {
    let groups = list_of(flags, "additional-gids");
    let group = |text: &String| {
        text.parse().map_err(|_| wrong("additional-gids", text.clone(), "a number"))
    };
    Ok(ExecOptions {
        console_socket: path(flags, "console-socket"),
        pid_file: path(flags, "pid-file"),
        pidfd_socket: path(flags, "pidfd-socket"),
        tty: flags.get_flag("tty"),
        detach: flags.get_flag("detach"),
        process: path(flags, "process"),
        args: list_of(flags, "command"),
        cwd: text(flags, "cwd").filter(|cwd| !cwd.is_empty()),
        env: list_of(flags, "env"),
        user: text(flags, "user").filter(|user| !user.is_empty()),
        additional_gids: groups.iter().map(group).collect::<Result<_, _>>()?,
        process_label: text(flags, "process-label").filter(|label| !label.is_empty()),
        apparmor: text(flags, "apparmor").filter(|profile| !profile.is_empty()),
        no_new_privs: flags.get_flag("no-new-privs"),
        caps: list_of(flags, "cap"),
        preserve_fds: number(flags, "preserve-fds")?.unwrap_or(0),
        cgroup: text(flags, "cgroup").filter(|path| !path.is_empty()),
        ignore_paused: flags.get_flag("ignore-paused"),
    })
}

fn list(runtime: &Runtime, flags: &ArgMatches) -> Result<u8, Error> {
    let states = runtime.list()?;
    if flags.get_flag("quiet") {
        let names: String = states.iter().map(|state| format!("{}\n", state.id)).collect();
        print::text(&names);
    } else if text(flags, "format").as_deref() == Some("json") {
        // What Go's encoder makes of an empty list.
        let json =
            if states.is_empty() { serde_json::Value::Null } else { serde_json::json!(states) };
        print::line(&json);
    } else {
        print::text(&oci::table(&states));
    }
    Ok(0)
}

fn ps(runtime: &Runtime, id: &Id, flags: &ArgMatches) -> Result<(), Error> {
    if text(flags, "format").as_deref() == Some("json") {
        print::line(&serde_json::json!(runtime.pids(id)?));
        return Ok(());
    }
    let table = runtime.ps(id, &list_of(flags, "options"))?;
    print::text(&table);
    Ok(())
}

fn events(runtime: &Runtime, id: &Id, flags: &ArgMatches) -> Result<(), Error> {
    if flags.get_flag("stats") {
        print::line(&runtime.statistics(id)?);
        return Ok(());
    }
    let interval = match text(flags, "interval") {
        Some(text) => duration(&text).ok_or_else(|| {
            wrong("interval", text.clone(), "a time above zero, as 5s, 500ms or 1m30s")
        })?,
        None => Duration::from_secs(5),
    };
    runtime.events(id, interval, &mut print::line)
}

/// A length of time in Go's form.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    Duration::try_from_secs_f64(sum).ok().filter(|time| !time.is_zero())
}

fn update(runtime: &Runtime, id: &Id, flags: &ArgMatches) -> Result<(), Error> {
    let resources = match text(flags, "resources").as_deref() {
        Some("-") => {
            oci::parse_resources("standard input", &oci::read_file(Path::new("/dev/stdin"))?)?
        }
        Some(file) => oci::parse_resources(file, &oci::read_file(Path::new(file))?)?,
        None => limits(flags)?,
    };
    runtime.update(id, &resources)
}

/// The limits that flags name; nothing is set by the others.
fn limits(flags: &ArgMatches) -> Result<Resources, Error> {
    for name in ["l3-cache-schema", "mem-bw-schema"] {
        if text(flags, name).is_some() {
            let cause = "classes of service are set when a container is created".to_owned();
            return Err(Error::Unsupported { what: format!("--{name}"), cause });
        }
    }
    let size = |name: &str| {
        let given = text(flags, name).filter(|text| !text.is_empty());
        given.map(|text| oci::parse_size(&format!("--{name}"), &text)).transpose()
    };
    let cpu = Cpu {
        shares: number(flags, "cpu-share")?,
        quota: number(flags, "cpu-quota")?,
        burst: number(flags, "cpu-burst")?,
        period: number(flags, "cpu-period")?,
        realtime_period: number(flags, "cpu-rt-period")?,
        realtime_runtime: number(flags, "cpu-rt-runtime")?,
        cpus: text(flags, "cpuset-cpus"),
        mems: text(flags, "cpuset-mems"),
        idle: number(flags, "cpu-idle")?,
    };
    let memory = Memory {
        limit: size("memory")?,
        reservation: size("memory-reservation")?,
        swap: size("memory-swap")?,
        ..Memory::default()
    };
    let pids = Pids { limit: number(flags, "pids-limit")? };
    let block_io = BlockIo { weight: number(flags, "blkio-weight")?, ..BlockIo::default() };
    Ok(Resources {
        cpu: (cpu != Cpu::default()).then_some(cpu),
        memory: (memory != Memory::default()).then_some(memory),
        pids: (pids != Pids::default()).then_some(pids),
        block_io: (block_io != BlockIo::default()).then_some(block_io),
        ..Resources::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_reads_them() {
        for (text, millis) in [("5s", 5000), ("500ms", 500), ("1m30s", 90_000), ("1.5h", 5_400_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "0s", "s", "5x", "-1s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
