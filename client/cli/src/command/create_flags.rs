//! The flags of `run` and `create`.

use crate::arg::{list, switch, value};
use clap::Arg;

/// The flags of `create`.
pub(crate) fn create() -> Vec<Arg> {
    let mut flags = life();
    for family in [process, namespaces, network, storage, processor, memory, devices, health] {
        flags.extend(family());
    }
    flags
}

/// The flags of `run`.
pub(crate) fn run() -> Vec<Arg> {
    let mut flags = create();
    flags.push(switch("detach", 'd', "Run container in background and print container ID"));
    flags.push(value(
        "detach-keys",
        None,
        "string",
        "Override the key sequence for detaching a container",
    ));
    flags.push(switch("sig-proxy", None, "Proxy received signals to the process (default true)"));
    flags
}

fn life() -> Vec<Arg> {
    vec![
        value("name", None, "string", "Assign a name to the container"),
        value("cidfile", None, "string", "Write the container ID to the file"),
        value("hostname", 'h', "string", "Container host name"),
        value("domainname", None, "string", "Container NIS domain name"),
        list("label", 'l', "Set meta data on a container"),
        list("label-file", None, "Read in a line delimited file of labels"),
        list(
            "annotation",
            None,
            "Add an annotation to the container (passed through to the OCI runtime)",
        ),
        value(
            "restart",
            None,
            "string",
            "Restart policy to apply when a container exits (default \"no\")",
        ),
        switch(
            "rm",
            None,
            "Automatically remove the container and its associated anonymous volumes when it exits",
        ),
        value("stop-signal", None, "string", "Signal to stop the container"),
        value("stop-timeout", None, "int", "Timeout (in seconds) to stop a container"),
        switch(
            "init",
            None,
            "Run an init inside the container that forwards signals and reaps processes",
        ),
        value("platform", None, "string", "Set platform if server is multi-platform capable"),
        value(
            "pull",
            None,
            "string",
            "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")",
        ),
        switch("quiet", 'q', "Suppress the pull output"),
        switch("disable-content-trust", None, "Skip image verification (default true)"),
        value("runtime", None, "string", "Runtime to use for this container"),
        value("isolation", None, "string", "Container isolation technology"),
        value("log-driver", None, "string", "Logging driver for the container"),
        list("log-opt", None, "Log driver options"),
    ]
}

fn process() -> Vec<Arg> {
    vec![
        list("attach", 'a', "Attach to STDIN, STDOUT or STDERR"),
        switch("interactive", 'i', "Keep STDIN open even if not attached"),
        switch("tty", 't', "Allocate a pseudo-TTY"),
        value("entrypoint", None, "string", "Overwrite the default ENTRYPOINT of the image"),
        value("workdir", 'w', "string", "Working directory inside the container"),
        value("user", 'u', "string", "Username or UID (format: <name|uid>[:<group|gid>])"),
        list("group-add", None, "Add additional groups to join"),
        list("env", 'e', "Set environment variables"),
        list("env-file", None, "Read in a file of environment variables"),
        list("ulimit", None, "Ulimit options").value_name("ulimit"),
        value("oom-score-adj", None, "int", "Tune host's OOM preferences (-1000 to 1000)"),
        switch("oom-kill-disable", None, "Disable OOM Killer"),
        value("pids-limit", None, "int", "Tune container pids limit (set -1 for unlimited)"),
        switch("privileged", None, "Give extended privileges to this container"),
        list("cap-add", None, "Add Linux capabilities"),
        list("cap-drop", None, "Drop Linux capabilities"),
        list("security-opt", None, "Security Options"),
        list("sysctl", None, "Sysctl options").value_name("map"),
    ]
}

fn namespaces() -> Vec<Arg> {
    vec![
        value("pid", None, "string", "PID namespace to use"),
        value("ipc", None, "string", "IPC mode to use"),
        value("uts", None, "string", "UTS namespace to use"),
        value("userns", None, "string", "User namespace to use"),
        value("cgroupns", None, "string", "Cgroup namespace to use (host|private)"),
        value("cgroup-parent", None, "string", "Optional parent cgroup for the container"),
    ]
}

fn network() -> Vec<Arg> {
    vec![
        list("network", None, "Connect a container to a network")
            .value_name("network")
            .alias("net"),
        list("network-alias", None, "Add network-scoped alias for the container")
            .alias("net-alias"),
        value("ip", None, "string", "IPv4 address (e.g., 172.30.100.104)"),
        value("ip6", None, "string", "IPv6 address (e.g., 2001:db8::33)"),
        list("link-local-ip", None, "Container IPv4/IPv6 link-local addresses"),
        value("mac-address", None, "string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
        list("link", None, "Add link to another container"),
        list("dns", None, "Set custom DNS servers"),
        list("dns-option", None, "Set DNS options").alias("dns-opt"),
        list("dns-search", None, "Set custom DNS search domains"),
        list("add-host", None, "Add a custom host-to-IP mapping (host:ip)"),
        list("expose", None, "Expose a port or a range of ports"),
        list("publish", 'p', "Publish a container's port(s) to the host"),
        switch("publish-all", 'P', "Publish all exposed ports to random ports"),
    ]
}

fn storage() -> Vec<Arg> {
    vec![
        list("volume", 'v', "Bind mount a volume"),
        list("mount", None, "Attach a filesystem mount to the container").value_name("mount"),
        list("tmpfs", None, "Mount a tmpfs directory"),
        list("volumes-from", None, "Mount volumes from the specified container(s)"),
        value("volume-driver", None, "string", "Optional volume driver for the container"),
        list("storage-opt", None, "Storage driver options for the container"),
        switch("read-only", None, "Mount the container's root filesystem as read only"),
        value("shm-size", None, "bytes", "Size of /dev/shm"),
        switch("use-api-socket", None, "Bind mount the engine's API socket").hide(true),
    ]
}

fn processor() -> Vec<Arg> {
    vec![
        value("cpus", None, "decimal", "Number of CPUs"),
        value("cpu-shares", 'c', "int", "CPU shares (relative weight)"),
        value("cpu-period", None, "int", "Limit CPU CFS (Completely Fair Scheduler) period"),
        value("cpu-quota", None, "int", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        value("cpu-rt-period", None, "int", "Limit CPU real-time period in microseconds"),
        value("cpu-rt-runtime", None, "int", "Limit CPU real-time runtime in microseconds"),
        value("cpuset-cpus", None, "string", "CPUs in which to allow execution (0-3, 0,1)"),
        value("cpuset-mems", None, "string", "MEMs in which to allow execution (0-3, 0,1)"),
        value("cpu-count", None, "int", "CPU count (Windows only)").hide(true),
        value("cpu-percent", None, "int", "CPU percent (Windows only)").hide(true),
    ]
}

fn memory() -> Vec<Arg> {
    vec![
        value("memory", 'm', "bytes", "Memory limit"),
        value(
            "memory-swap",
            None,
            "bytes",
            "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        ),
        value("memory-reservation", None, "bytes", "Memory soft limit"),
        value(
            "memory-swappiness",
            None,
            "int",
            "Tune container memory swappiness (0 to 100) (default -1)",
        ),
        value("kernel-memory", None, "bytes", "Kernel memory limit").hide(true),
        value(
            "blkio-weight",
            None,
            "uint16",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
        ),
        list("blkio-weight-device", None, "Block IO weight (relative device weight)"),
        list("device-read-bps", None, "Limit read rate (bytes per second) from a device"),
        list("device-write-bps", None, "Limit write rate (bytes per second) to a device"),
        list("device-read-iops", None, "Limit read rate (IO per second) from a device"),
        list("device-write-iops", None, "Limit write rate (IO per second) to a device"),
        value(
            "io-maxbandwidth",
            None,
            "bytes",
            "Maximum IO bandwidth limit for the system drive (Windows only)",
        )
        .hide(true),
        value("io-maxiops", None, "uint", "Maximum IOps limit for the system drive (Windows only)")
            .hide(true),
    ]
}

fn devices() -> Vec<Arg> {
    vec![
        list("device", None, "Add a host device to the container"),
        list("device-cgroup-rule", None, "Add a rule to the cgroup allowed devices list"),
        list("gpus", None, "GPU devices to add to the container ('all' to pass all GPUs)")
            .value_name("gpu-request"),
    ]
}

fn health() -> Vec<Arg> {
    vec![
        value("health-cmd", None, "string", "Command to run to check health"),
        value(
            "health-interval",
            None,
            "duration",
            "Time between running the check (ms|s|m|h) (default 0s)",
        ),
        value(
            "health-timeout",
            None,
            "duration",
            "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
        ),
        value("health-retries", None, "int", "Consecutive failures needed to report unhealthy"),
        value(
            "health-start-period",
            None,
            "duration",
            "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
        ),
        value(
            "health-start-interval",
            None,
            "duration",
            "Time between running the check during the start period (ms|s|m|h) (default 0s)",
        ),
        switch("no-healthcheck", None, "Disable any container-specified HEALTHCHECK"),
    ]
}
