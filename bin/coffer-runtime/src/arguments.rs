//! Commands and flags. Those of a command are made only when it is asked for: the program lives for a millisecond.

use clap::{Arg, ArgAction, Command};

const ABOUT: &str = "An OCI runtime: creates and runs containers from bundles";

/// The version in runc's form, which engines read.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

type Flags = fn(Command) -> Command;

/// Name, what it does, flags.
const COMMANDS: &[(&str, &str, Flags)] = &[
    ("checkpoint", "checkpoint a running container", checkpoint),
    ("create", "create a container", |c| id(creation(c))),
    ("delete", "delete any resources held by the container", |c| {
        id(c.arg(switch("force", Some('f'), "Kill the container if it is still running")))
    }),
    ("events", "display container events such as OOM notifications and usage statistics", |c| {
        id(c.arg(value("interval", None, "Time between statistics, as 5s or 1m30s")).arg(switch(
            "stats",
            None,
            "Display the statistics once",
        )))
    }),
    ("exec", "execute new process inside the container", exec),
    ("features", "show the enabled features", |c| c),
    ("kill", "send a signal (default: SIGTERM) to the container's init process", |c| {
        id(c.arg(switch("all", Some('a'), "Send it to all processes of the container")))
            .arg(Arg::new("signal").default_value("SIGTERM"))
    }),
    ("list", "list containers", |c| {
        c.arg(value("format", Some('f'), "table or json").value_parser(["table", "json"]))
            .arg(switch("quiet", Some('q'), "Display only names"))
    }),
    ("pause", "suspend all processes of the container", id),
    ("ps", "display the processes of the container", |c| {
        id(c.arg(value("format", Some('f'), "table or json").value_parser(["table", "json"])))
            .arg(rest("options"))
    }),
    ("restore", "restore a container from a checkpoint", restore),
    ("resume", "resume all processes that have been paused", id),
    ("run", "create and run a container", |c| {
        id(creation(c)
            .arg(switch("detach", Some('d'), "Leave the container once it runs"))
            .arg(switch("keep", None, "Do not delete the container after it exits"))
            .arg(switch("no-subreaper", None, "Do not reap orphans")))
    }),
    ("spec", "create a new specification file", |c| {
        c.arg(value("bundle", Some('b'), "Directory of the file")).arg(switch(
            "rootless",
            None,
            "For a container that needs no rights",
        ))
    }),
    ("start", "start the program of a created container", id),
    ("state", "output the state of a container", id),
    ("update", "update resource limits of the container", update),
];

/// All of it.
pub(crate) fn tree() -> Command {
    let commands = COMMANDS.iter().map(|(name, about, flags)| {
        Command::new(*name).about(*about).defer(*flags).disable_version_flag(true)
    });
    Command::new("coffer-runtime")
        .about(ABOUT)
        .version(VERSION)
        .override_usage("coffer-runtime [global options] command [command options] [arguments...]")
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .arg(
            Arg::new("version")
                .long("version")
                .short('v')
                .action(ArgAction::Version)
                .help("Print the version"),
        )
        .args([
            switch("debug", None, "Log what is done"),
            value("log", None, "Log file (default: standard error)"),
            value("log-format", None, "text or json").value_parser(["text", "json"]),
            value("root", None, "Directory of the state of containers; should be in a tmpfs"),
            value("criu", None, "Path of criu, for checkpoint and restore"),
            switch(
                "systemd-cgroup",
                None,
                "Let systemd make cgroups; cgroupsPath is slice:prefix:name",
            ),
            value("rootless", None, "Whether cgroups may be missing: true, false or auto")
                .value_parser(["true", "false", "auto"]),
            switch("timings", None, "Print the time of each step on standard error"),
        ])
        .subcommands(commands)
}

fn switch(name: &'static str, short: Option<char>, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    match short {
        Some(short) => arg.short(short),
        None => arg,
    }
}

fn value(name: &'static str, short: Option<char>, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).allow_hyphen_values(true).help(help);
    match short {
        Some(short) => arg.short(short),
        None => arg,
    }
}

fn many(name: &'static str, short: Option<char>, help: &'static str) -> Arg {
    value(name, short, help).action(ArgAction::Append)
}

fn id(command: Command) -> Command {
    command.arg(Arg::new("id").value_name("container-id").required(true))
}

/// Everything after the name, also what looks like a flag.
fn rest(name: &'static str) -> Arg {
    Arg::new(name).num_args(0..).trailing_var_arg(true).allow_hyphen_values(true)
}

fn creation(command: Command) -> Command {
    command.args([
        value("bundle", Some('b'), "Path of the bundle (default: the current directory)"),
        value("console-socket", None, "Socket that gets the terminal's master"),
        value("pidfd-socket", None, "Socket that gets the process's pidfd"),
        value("pid-file", None, "File that gets the process id"),
        switch("no-pivot", None, "Do not use pivot_root"),
        switch("no-new-keyring", None, "Keep the caller's session keyring"),
        value("preserve-fds", None, "Pass so many descriptors from 3 up"),
    ])
}

fn exec(command: Command) -> Command {
    id(command.args([
        value("console-socket", None, "Socket that gets the terminal's master"),
        value("pidfd-socket", None, "Socket that gets the process's pidfd"),
        value("cwd", None, "Working directory in the container"),
        many("env", Some('e'), "NAME=value"),
        switch("tty", Some('t'), "Allocate a terminal"),
        value("user", Some('u'), "UID or UID:GID"),
        many("additional-gids", Some('g'), "More groups"),
        value("process", Some('p'), "File with the whole process"),
        switch("detach", Some('d'), "Leave the process once it runs"),
        value("pid-file", None, "File that gets the process id"),
        value("process-label", None, "SELinux label"),
        value("apparmor", None, "AppArmor profile"),
        switch("no-new-privs", None, "Keep the process from gaining rights"),
        many("cap", Some('c'), "More capabilities"),
        value("preserve-fds", None, "Pass so many descriptors from 3 up"),
        value("cgroup", None, "Existing group below the container's: [CONTROLLERS:]PATH"),
        switch("ignore-paused", None, "Also in a paused container"),
    ]))
    .arg(rest("command"))
}

fn update(command: Command) -> Command {
    id(command.args([
        value("resources", Some('r'), "File with limits in the form of linux.resources, or -"),
        value("blkio-weight", None, "Weight for block devices, 10 to 1000"),
        value("cpu-period", None, "CPU period in microseconds"),
        value("cpu-quota", None, "CPU time in a period in microseconds"),
        value("cpu-burst", None, "CPU time that may be saved up in microseconds"),
        value("cpu-share", None, "CPU shares"),
        value("cpu-rt-period", None, "Real-time period in microseconds"),
        value("cpu-rt-runtime", None, "Real-time CPU time in a period in microseconds"),
        value("cpuset-cpus", None, "CPUs to use"),
        value("cpuset-mems", None, "Memory nodes to use"),
        value("cpu-idle", None, "Whether the container is of the idle class: 0 or 1"),
        value("memory", None, "Memory limit"),
        value("memory-reservation", None, "Soft memory limit"),
        value("memory-swap", None, "Memory and swap together; -1 for no limit"),
        value("kernel-memory", None, "Ignored: kernels have no such limit any more"),
        value("kernel-memory-tcp", None, "Ignored: kernels have no such limit any more"),
        value("pids-limit", None, "Most processes"),
        value("l3-cache-schema", None, "Intel RDT schema of the L3 cache"),
        value("mem-bw-schema", None, "Intel RDT schema of memory bandwidth"),
    ]))
}

fn images(command: Command) -> Command {
    command.args([
        value("image-path", None, "Directory of the image"),
        value("work-path", None, "Directory of work files and logs"),
        switch("tcp-established", None, "Allow open TCP connections"),
        switch("ext-unix-sk", None, "Allow external unix sockets"),
        switch("shell-job", None, "Allow shell jobs"),
        switch("file-locks", None, "Handle file locks"),
        value("manage-cgroups-mode", None, "soft, full, strict or ignore"),
        many("empty-ns", None, "Make a namespace but do not restore it"),
        switch("auto-dedup", None, "Free memory images that are not needed any more"),
        switch("lazy-pages", None, "Restore memory on demand"),
    ])
}

fn checkpoint(command: Command) -> Command {
    id(images(command).args([
        value("parent-path", None, "Directory of an earlier image"),
        switch("leave-running", None, "Leave the container running"),
        value("page-server", None, "ADDRESS:PORT of a page server"),
        value("status-fd", None, "Descriptor that criu writes to when lazy pages are ready"),
        switch("pre-dump", None, "Only write memory, and leave the container running"),
    ]))
}

fn restore(command: Command) -> Command {
    id(images(creation(command)).args([
        switch("detach", Some('d'), "Leave the container once it runs"),
        switch("no-subreaper", None, "Do not reap orphans"),
        value("lsm-profile", None, "TYPE:NAME of a security profile"),
        value("lsm-mount-context", None, "Security context of mounts"),
    ]))
}
