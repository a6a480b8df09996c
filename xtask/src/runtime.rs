//! Times `coffer-runtime` beside runc and crun: the same bundle, in turn, so that the machine's drift hits all. Prints
//! minima and medians in milliseconds, the ratio of medians to runc's, the largest resident size, and the times of the
//! steps of one run.
//!
//! The bundle has a static `/bin/true`, six namespaces, Docker's mounts, masks, capabilities and its default filter.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// One runtime.
struct Program {
    name: String,
    path: String,
    flags: Vec<String>,
}

/// Operation, runtime, times in milliseconds.
type Times = BTreeMap<(usize, &'static str), BTreeMap<String, Vec<f64>>>;

const OPERATIONS: [&str; 4] = ["run /bin/true", "create + start + delete", "exec", "state"];

/// Runs the benchmark with the arguments of the command line: `[--rounds N] PROGRAM [OTHER]...`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let mut rounds = 30;
    let mut programs = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--rounds" {
            let number = rest.next().and_then(|text| text.parse().ok());
            rounds = number.ok_or("--rounds needs a number")?;
        } else {
            programs.push(program(argument));
        }
    }
    if programs.is_empty() {
        return Err("usage: cargo xtask runtime [--rounds N] PROGRAM [OTHER]...".to_owned());
    }
    let bench = Bench::new()?;
    // The first round also fills caches. One that cannot run here (crun on hosts with both versions of cgroups) is left out, and said so.
    programs.retain(|program| match bench.round(program) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("left out: {error}");
            false
        }
    });
    let mut times = Times::new();
    for _ in 0..rounds {
        for program in &programs {
            let measured = bench.round(program)?;
            for (at, (operation, time)) in OPERATIONS.iter().zip(measured).enumerate() {
                let of = times.entry((at, operation)).or_default();
                of.entry(program.name.clone()).or_default().push(time);
            }
        }
    }
    print(&times, &programs);
    for program in &programs {
        println!(
            "{:<28} {:>8} KiB",
            format!("largest size, {}", program.name),
            bench.size(program)?
        );
    }
    bench.steps(programs.first());
    Ok(())
}

/// A runtime by its path. crun is asked to leave cgroups alone, which it can only do with systemd on some hosts.
fn program(path: &str) -> Program {
    let name = Path::new(path)
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let flags = match name.as_str() {
        "crun" => vec!["--cgroup-manager=disabled".to_owned()],
        _ => Vec::new(),
    };
    Program { name, path: path.to_owned(), flags }
}

struct Bench {
    directory: PathBuf,
}

impl Bench {
    fn new() -> Result<Self, String> {
        let directory = std::env::temp_dir().join(format!("coffer-bench-{}", std::process::id()));
        let bench = Self { directory };
        bench.make().map_err(|error| format!("make bundle: {error}"))?;
        Ok(bench)
    }

    fn make(&self) -> std::io::Result<()> {
        let rootfs = self.directory.join("rootfs");
        for name in ["bin", "proc", "dev", "sys", "etc", "tmp"] {
            fs::create_dir_all(rootfs.join(name))?;
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox"))?;
        for applet in ["true", "sleep"] {
            symlink("busybox", rootfs.join("bin").join(applet))?;
        }
        fs::write(self.directory.join("config.json"), spec(&["/bin/true"]).to_string())?;
        let long = self.directory.join("long");
        fs::create_dir_all(&long)?;
        let mut spec = spec(&["/bin/sleep", "1000"]);
        spec["root"]["path"] = json!(rootfs);
        fs::write(long.join("config.json"), spec.to_string())
    }

    fn command(&self, program: &Program, arguments: &[&str]) -> Command {
        let mut command = Command::new(&program.path);
        command.args(&program.flags).arg("--root").arg(self.directory.join(&program.name));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn call(&self, program: &Program, arguments: &[&str]) -> Result<f64, String> {
        let start = Instant::now();
        let status = self.command(program, arguments).status();
        let time = start.elapsed().as_secs_f64() * 1000.0;
        match status {
            Ok(status) if status.success() => Ok(time),
            Ok(status) => Err(format!("{} {}: {status}", program.path, arguments.join(" "))),
            Err(error) => Err(format!("{}: {error}", program.path)),
        }
    }

    /// All operations once.
    fn round(&self, program: &Program) -> Result<[f64; 4], String> {
        let bundle = self.directory.display().to_string();
        let long = self.directory.join("long").display().to_string();
        let id = format!("bench-{}", std::process::id());
        let run = self.call(program, &["run", "--bundle", &bundle, &id])?;
        let mut life = self.call(program, &["create", "--bundle", &bundle, &id])?;
        life += self.call(program, &["start", &id])?;
        life += self.call(program, &["delete", "--force", &id])?;
        self.call(program, &["run", "-d", "--bundle", &long, &id])?;
        let exec = self.call(program, &["exec", &id, "/bin/true"])?;
        let state = self.call(program, &["state", &id])?;
        self.call(program, &["delete", "--force", &id])?;
        Ok([run, life, exec, state])
    }

    /// The largest resident size of a `create`, in KiB, as the kernel counted it.
    fn size(&self, program: &Program) -> Result<u64, String> {
        let bundle = self.directory.display().to_string();
        let script = "\"$@\" >/dev/null 2>&1 & p=$!; wait $p; exit $?";
        let id = format!("bench-{}", std::process::id());
        let mut command = Command::new("/usr/bin/env");
        command.args(["sh", "-c", script, "sh", &program.path]).args(&program.flags);
        command.arg("--root").arg(self.directory.join(&program.name));
        command.args(["create", "--bundle", &bundle, &id]).stdin(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let pid = child.id();
        let mut largest = 0;
        // What a process was at most is in its status as long as it lives.
        while child.try_wait().map_err(|error| error.to_string())?.is_none() {
            largest = largest.max(largest_child(pid));
        }
        self.call(program, &["delete", "--force", &id])?;
        Ok(largest)
    }

    fn steps(&self, program: Option<&Program>) {
        let Some(program) = program.filter(|program| program.name == "coffer-runtime") else {
            return;
        };
        let bundle = self.directory.display().to_string();
        let mut command =
            self.command(program, &["--timings", "run", "--bundle", &bundle, "steps"]);
        if let Ok(output) = command.stderr(Stdio::piped()).output() {
            println!("\nsteps of one run\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// The largest VmHWM among the children of `pid`.
fn largest_child(pid: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let size = |child: &str| {
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    children.split_whitespace().filter_map(size).max().unwrap_or(0)
}

/// What Docker makes for a container without options, but for what cannot be had everywhere.
fn spec(args: &[&str]) -> Value {
    let caps = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    let namespaces = ["mount", "network", "uts", "pid", "ipc", "cgroup"];
    let namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        },
        "root": {"path": "rootfs"},
        "hostname": "bench",
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        ],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": [
                "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
                "/sys/firmware",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
            "seccomp": seccomp(),
        },
    })
}

/// Docker's default profile, as dockerd writes it into bundles.
fn seccomp() -> Value {
    let text = include_str!("../../kernel/seccomp/data/default.json");
    let profile: Value = serde_json::from_str(text).unwrap_or_default();
    let rules = profile["syscalls"].as_array().cloned().unwrap_or_default();
    // Rules for other architectures, and for capabilities that the container does not have.
    let applies = |rule: &Value| {
        let lists = |scope: &str, field: &str| {
            rule[scope][field].as_array().is_some_and(|list| !list.is_empty())
        };
        let ours =
            rule["includes"]["arches"].as_array().is_none_or(|list| list.contains(&json!("amd64")));
        ours && !lists("includes", "caps")
    };
    let rules: Vec<Value> = rules
        .into_iter()
        .filter(applies)
        .map(|mut rule| {
            if let Some(rule) = rule.as_object_mut() {
                ["includes", "excludes", "comment"]
                    .iter()
                    .for_each(|field| drop(rule.remove(*field)));
                rule.retain(|_, value| !value.is_null());
            }
            rule
        })
        .collect();
    json!({
        "defaultAction": profile["defaultAction"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    })
}

fn print(times: &Times, programs: &[Program]) {
    let reference =
        programs.iter().find(|program| program.name == "runc").map(|program| &program.name);
    println!(
        "{:<28} {:<16} {:>9} {:>9} {:>10}",
        "operation", "runtime", "min ms", "median", "to runc's"
    );
    for ((_, operation), by_program) in times {
        let base = reference.and_then(|name| by_program.get(name)).map(|times| median(times));
        for program in programs {
            let Some(times) = by_program.get(&program.name) else { continue };
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            let middle = median(times);
            let ratio = base.map_or_else(String::new, |base| format!("{:.2}", middle / base));
            println!("{operation:<28} {:<16} {least:>9.2} {middle:>9.2} {ratio:>10}", program.name);
        }
    }
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
