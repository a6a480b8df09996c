//! From the flags of `run` and `create` to the body that the API takes.

use crate::arg::Flags;
use crate::failure::Failure;
use crate::parse::device::Device;
use crate::parse::network::Attachment;
use crate::parse::volume::Volume;
use crate::parse::{csv, device, duration, env, limits, mount, port, security, size, volume};
use api_types::container::{Config, CreateBody, HealthConfig, NetworkingConfig};
use api_types::host::{DeviceRequest, HostConfig, LogConfig};
use api_types::network::EndpointSettings;
use api_types::{Empty, List, Map};
use std::path::PathBuf;

/// Makes the body from the flags, the image and the command.
pub(crate) fn build(
    flags: &Flags,
    args: &[String],
    proxies: &[(String, String)],
) -> Result<CreateBody, Failure> {
    check_values(flags)?;
    for text in flags.all("sysctl") {
        limits::sysctl(&text).map_err(|reason| Failure::flag("sysctl", &text, &reason))?;
    }
    let ports = port::parse(&flags.all("publish"), &flags.all("expose")).map_err(Failure::Plain)?;
    let networks = attachments(flags)?;
    let (binds, anonymous) = volumes(flags)?;
    let security = security::parse(&flags.all("security-opt"))?;
    let (attach_stdin, attach_stdout, attach_stderr) = attached(flags)?;
    let open = flags.on("interactive");
    let cmd = &args[1..];
    let mut config = Config {
        hostname: flags.text("hostname"),
        domainname: flags.text("domainname"),
        user: flags.text("user"),
        attach_stdin,
        attach_stdout,
        attach_stderr,
        exposed_ports: if ports.exposed.is_empty() { Map::default() } else { ports.exposed },
        tty: flags.on("tty"),
        open_stdin: open,
        stdin_once: open && attach_stdin,
        env: optional(environment(flags, proxies)?),
        cmd: if cmd.is_empty() { List::default() } else { List::from(cmd.to_vec()) },
        healthcheck: healthcheck(flags)?,
        image: args[0].clone(),
        volumes: anonymous,
        working_dir: flags.text("workdir"),
        labels: or_empty(env::labels(&flags.all("label-file"), &flags.all("label"))?),
        stop_signal: flags.text("stop-signal"),
        stop_timeout: flags.number("stop-timeout")?,
        ..Config::default()
    };
    if let Some(entrypoint) = flags.text_of("entrypoint") {
        config.entrypoint = List::from(vec![entrypoint.to_owned()]);
    }
    let mut host = host(flags, &networks)?;
    host.binds = if binds.is_empty() { List::default() } else { List::from(binds) };
    host.port_bindings = or_empty(ports.bindings);
    host.security_opt = optional(security.options);
    (host.masked_paths, host.readonly_paths) = (security.masked, security.readonly);
    resources(flags, &mut host)?;
    devices(flags, &mut host)?;
    Ok(CreateBody { config, host_config: host, networking_config: networking(&networks) })
}

fn or_empty<V>(map: Map<V>) -> Map<V> {
    if map.is_null() { Map::empty() } else { map }
}

/// What Go sends as `null` when a flag was not given.
fn optional(items: Vec<String>) -> List<String> {
    if items.is_empty() { List::default() } else { List::from(items) }
}

fn check_values(flags: &Flags) -> Result<(), Failure> {
    let swappiness = flags.number("memory-swappiness")?.unwrap_or(-1);
    if swappiness != -1 && !(0..=100).contains(&swappiness) {
        return Err(Failure::Plain(format!(
            "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
        )));
    }
    let host_or = |name: &str, valid: &dyn Fn(&str) -> bool| {
        let text = flags.text(name);
        if valid(&text) {
            Ok(())
        } else {
            Err(Failure::Plain(format!("--{name}: invalid {} mode", name.to_uppercase())))
        }
    };
    host_or("pid", &|text| {
        matches!(text, "" | "host")
            || text.strip_prefix("container:").is_some_and(|id| !id.is_empty())
    })?;
    host_or("uts", &|text| matches!(text, "" | "host"))?;
    if !matches!(flags.text("userns").as_str(), "" | "host") {
        return Err(Failure::Plain("--userns: invalid USER mode".into()));
    }
    if !matches!(flags.text("cgroupns").as_str(), "" | "host" | "private") {
        return Err(Failure::Plain("--cgroupns: invalid CGROUP mode".into()));
    }
    Ok(())
}

fn attached(flags: &Flags) -> Result<(bool, bool, bool), Failure> {
    let given = flags.all("attach");
    let mut streams = (false, false, false);
    for text in &given {
        match text.to_lowercase().as_str() {
            "stdin" => streams.0 = true,
            "stdout" => streams.1 = true,
            "stderr" => streams.2 = true,
            _ => {
                return Err(Failure::flag(
                    "attach",
                    text,
                    "valid streams are STDIN, STDOUT and STDERR",
                ));
            }
        }
    }
    if given.is_empty() {
        streams = (flags.on("interactive"), true, true);
    }
    if flags.on("detach") { Ok((false, false, false)) } else { Ok(streams) }
}

fn environment(flags: &Flags, proxies: &[(String, String)]) -> Result<Vec<String>, Failure> {
    let mut variables = env::environment(&flags.all("env-file"), &flags.all("env"))?;
    for (name, value) in proxies {
        let named = format!("{name}=");
        if !variables.iter().any(|variable| variable == name || variable.starts_with(&named)) {
            variables.push(format!("{named}{value}"));
        }
    }
    Ok(variables)
}

fn healthcheck(flags: &Flags) -> Result<Option<HealthConfig>, Failure> {
    let command = flags.text("health-cmd");
    let given = |name: &str| flags.given(name);
    let tuned = [
        "health-interval",
        "health-timeout",
        "health-retries",
        "health-start-period",
        "health-start-interval",
    ];
    if flags.on("no-healthcheck") {
        if !command.is_empty() || tuned.iter().any(|name| given(name)) {
            return Err(Failure::Plain(
                "--no-healthcheck conflicts with --health-* options".into(),
            ));
        }
        return Ok(Some(HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() }));
    }
    if command.is_empty() && !tuned.iter().any(|name| given(name)) {
        return Ok(None);
    }
    let span = |name: &'static str| match flags.text_of(name) {
        None => Ok(0),
        Some(text) => match duration::nanos(text) {
            Ok(_) => limits::health_span(text, name).map_err(Failure::Plain),
            Err(reason) => Err(Failure::flag(name, text, &reason)),
        },
    };
    Ok(Some(HealthConfig {
        test: if command.is_empty() { Vec::new() } else { vec!["CMD-SHELL".into(), command] },
        interval: span("health-interval")?,
        timeout: span("health-timeout")?,
        start_period: span("health-start-period")?,
        start_interval: span("health-start-interval")?,
        retries: flags.number("health-retries")?.unwrap_or_default(),
    }))
}

/// The values of a flag, each of which must be one: otherwise the check says why not.
fn checked(
    flags: &Flags,
    name: &str,
    check: fn(&str) -> Result<(), String>,
) -> Result<Vec<String>, Failure> {
    let all = flags.all(name);
    for text in &all {
        check(text).map_err(|reason| Failure::flag(name, text, &reason))?;
    }
    Ok(all)
}

fn volumes(flags: &Flags) -> Result<(Vec<String>, Map<Empty>), Failure> {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let (mut binds, mut anonymous) = (Vec::new(), Map::empty());
    for text in flags.all("volume") {
        match volume::parse(&text, &here) {
            // Said twice it is meant once.
            Volume::Bind(bind) if binds.contains(&bind) => {}
            Volume::Bind(bind) => binds.push(bind),
            Volume::Anonymous(path) => drop(anonymous.insert(path, Empty {})),
        }
    }
    Ok((binds, anonymous))
}

fn attachments(flags: &Flags) -> Result<Vec<Attachment>, Failure> {
    let mut found = Vec::new();
    for text in flags.all("network") {
        found.push(
            Attachment::parse(&text).map_err(|reason| Failure::flag("network", &text, &reason))?,
        );
    }
    if found.is_empty() {
        found.push(Attachment { target: "default".into(), ..Attachment::default() });
    }
    // The flags for one network hold for the first.
    let first = &mut found[0];
    refuse_twice(flags, first)?;
    first.aliases.extend(flags.all("network-alias"));
    let own = !matches!(first.target.as_str(), "default" | "bridge" | "host" | "none")
        && !first.target.starts_with("container:");
    if !own && !first.aliases.is_empty() {
        let text = "network-scoped aliases are only supported for user-defined networks";
        return Err(Failure::Plain(text.into()));
    }
    if !matches!(first.target.as_str(), "default" | "bridge" | "host" | "none") {
        first.links.extend(flags.all("link"));
    }
    first.link_local.extend(flags.all("link-local-ip"));
    for (name, place) in
        [("ip", &mut first.ipv4), ("ip6", &mut first.ipv6), ("mac-address", &mut first.mac)]
    {
        if let Some(text) = flags.text_of(name) {
            text.clone_into(place);
        }
    }
    if let Some(text) = flags.text_of("mac-address")
        && !crate::parse::network::is_mac(text)
    {
        return Err(Failure::Plain(format!("{text} is not a valid mac address")));
    }
    Ok(found)
}

/// What the long form of `--network` says cannot be said by a flag too.
fn refuse_twice(flags: &Flags, first: &Attachment) -> Result<(), Failure> {
    for (flag, said, what) in [
        ("network-alias", !first.aliases.is_empty(), "per-network alias"),
        ("link", !first.links.is_empty(), "per-network links"),
        ("ip", !first.ipv4.is_empty(), "per-network IPv4 address"),
        ("ip6", !first.ipv6.is_empty(), "per-network IPv6 address"),
        ("mac-address", !first.mac.is_empty(), "per-network MAC address"),
        ("link-local-ip", !first.link_local.is_empty(), "per-network link-local IP addresses"),
    ] {
        if said && flags.given(flag) {
            return Err(Failure::Plain(format!(
                "conflicting options: cannot specify both --{flag} and {what}"
            )));
        }
    }
    Ok(())
}

fn networking(networks: &[Attachment]) -> NetworkingConfig {
    let endpoints = networks.iter().filter(|network| !network.target.starts_with("container:"));
    let endpoints: Map<Option<EndpointSettings>> =
        endpoints.map(|network| (network.target.clone(), Some(network.settings()))).collect();
    NetworkingConfig { endpoints_config: endpoints }
}

fn host(flags: &Flags, networks: &[Attachment]) -> Result<HostConfig, Failure> {
    let restart = flags.text("restart");
    if flags.on("rm") && flags.given("restart") && restart != "no" {
        return Err(Failure::Plain(
            "conflicting options: cannot specify both --restart and --rm".into(),
        ));
    }
    let restart = if flags.given("restart") { restart } else { "no".to_owned() };
    Ok(HostConfig {
        container_id_file: flags.text("cidfile"),
        log_config: logging(flags)?,
        network_mode: networks[0].target.clone(),
        restart_policy: limits::restart(&restart).map_err(Failure::Plain)?,
        auto_remove: flags.on("rm"),
        volume_driver: flags.text("volume-driver"),
        volumes_from: optional(flags.all("volumes-from")),
        annotations: env::map(&flags.all("annotation")),
        cap_add: optional(capabilities(&flags.all("cap-add"))),
        cap_drop: optional(capabilities(&flags.all("cap-drop"))),
        cgroupns_mode: flags.text("cgroupns"),
        dns: List::from(checked(flags, "dns", crate::parse::network::server)?),
        dns_options: List::from(flags.all("dns-option")),
        dns_search: List::from(flags.all("dns-search")),
        extra_hosts: extra_hosts(flags)?,
        group_add: optional(flags.all("group-add")),
        ipc_mode: flags.text("ipc"),
        links: optional(checked(flags, "link", crate::parse::network::link)?),
        oom_score_adj: flags.number("oom-score-adj")?.unwrap_or_default(),
        pid_mode: flags.text("pid"),
        privileged: flags.on("privileged"),
        publish_all_ports: flags.on("publish-all"),
        readonly_rootfs: flags.on("read-only"),
        storage_opt: env::map(&flags.all("storage-opt")),
        tmpfs: tmpfs(flags),
        uts_mode: flags.text("uts"),
        userns_mode: flags.text("userns"),
        shm_size: bytes(flags, "shm-size")?,
        sysctls: env::map(&flags.all("sysctl")),
        runtime: flags.text("runtime"),
        isolation: flags.text("isolation"),
        mounts: mounts(flags)?,
        init: flags.given("init").then(|| flags.on("init")),
        ..HostConfig::default()
    })
}

/// Names as the kernel has them, each once.
fn capabilities(given: &[String]) -> Vec<String> {
    let full = |name: &String| match name.to_uppercase() {
        name if name == "ALL" || name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    let names: std::collections::BTreeSet<String> = given.iter().map(full).collect();
    if names.contains("ALL") { vec!["ALL".into()] } else { names.into_iter().collect() }
}

fn logging(flags: &Flags) -> Result<LogConfig, Failure> {
    let driver = flags.text("log-driver");
    let options = flags.all("log-opt");
    if driver == "none" && !options.is_empty() {
        return Err(Failure::Plain("invalid logging opts for driver none".into()));
    }
    Ok(LogConfig { driver, config: or_empty(env::map(&options)) })
}

fn extra_hosts(flags: &Flags) -> Result<List<String>, Failure> {
    let mut hosts = Vec::new();
    for text in flags.all("add-host") {
        let pair = text.split_once('=').or_else(|| text.split_once(':'));
        let bad =
            || Failure::flag("add-host", &text, &format!("bad format for add-host: {text:?}"));
        let (name, address) = pair.filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err() {
            let reason = format!("invalid IP address in add-host: {address:?}");
            return Err(Failure::flag("add-host", &text, &reason));
        }
        hosts.push(format!("{name}:{bare}"));
    }
    Ok(optional(hosts))
}

fn tmpfs(flags: &Flags) -> Map<String> {
    let pair = |text: String| match text.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (text, String::new()),
    };
    flags.all("tmpfs").into_iter().map(pair).collect()
}

fn mounts(flags: &Flags) -> Result<List<api_types::mount::Mount>, Failure> {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let read = |text: String| {
        mount::parse(&text, &here).map_err(|reason| Failure::flag("mount", &text, &reason))
    };
    flags.all("mount").into_iter().map(read).collect::<Result<Vec<_>, _>>().map(List::from)
}

fn bytes(flags: &Flags, name: &'static str) -> Result<i64, Failure> {
    let read = |text: &str| {
        if name == "memory-swap" { size::bytes_or_unlimited(text) } else { size::bytes(text) }
    };
    match flags.text_of(name) {
        None => Ok(0),
        Some(text) => read(text).map_err(|reason| Failure::flag(name, text, &reason)),
    }
}

fn each<T>(
    flags: &Flags,
    name: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<List<T>, Failure> {
    let items = flags.all(name);
    let one = |text: &String| read(text).map_err(|reason| Failure::flag(name, text, &reason));
    items.iter().map(one).collect::<Result<Vec<_>, _>>().map(List::from)
}

fn resources(flags: &Flags, host: &mut HostConfig) -> Result<(), Failure> {
    let number = |name: &'static str| Ok::<_, Failure>(flags.number(name)?.unwrap_or_default());
    host.cgroup_parent = flags.text("cgroup-parent");
    host.memory = bytes(flags, "memory")?;
    host.memory_reservation = bytes(flags, "memory-reservation")?;
    host.memory_swap = bytes(flags, "memory-swap")?;
    host.memory_swappiness = Some(flags.number("memory-swappiness")?.unwrap_or(-1));
    host.oom_kill_disable = Some(flags.on("oom-kill-disable"));
    if let Some(text) = flags.text_of("cpus") {
        host.nano_cpus =
            size::nano_cpus(text).map_err(|reason| Failure::flag("cpus", text, &reason))?;
    }
    host.cpu_count = number("cpu-count")?;
    host.cpu_percent = number("cpu-percent")?;
    host.cpu_shares = number("cpu-shares")?;
    host.cpu_period = number("cpu-period")?;
    host.cpu_quota = number("cpu-quota")?;
    host.cpu_realtime_period = number("cpu-rt-period")?;
    host.cpu_realtime_runtime = number("cpu-rt-runtime")?;
    host.cpuset_cpus = flags.text("cpuset-cpus");
    host.cpuset_mems = flags.text("cpuset-mems");
    host.pids_limit = Some(number("pids-limit")?);
    let weight = number("blkio-weight")?;
    host.blkio_weight = u16::try_from(weight)
        .map_err(|_| Failure::flag("blkio-weight", &weight.to_string(), "value out of range"))?;
    host.io_maximum_iops = u64::try_from(number("io-maxiops")?).unwrap_or_default();
    host.io_maximum_bandwidth = u64::try_from(bytes(flags, "io-maxbandwidth")?).unwrap_or_default();
    host.blkio_weight_device = each(flags, "blkio-weight-device", limits::weight)?;
    host.blkio_device_read_bps =
        each(flags, "device-read-bps", |text| limits::throttle(text, true))?;
    host.blkio_device_write_bps =
        each(flags, "device-write-bps", |text| limits::throttle(text, true))?;
    host.blkio_device_read_iops =
        each(flags, "device-read-iops", |text| limits::throttle(text, false))?;
    host.blkio_device_write_iops =
        each(flags, "device-write-iops", |text| limits::throttle(text, false))?;
    host.ulimits = each(flags, "ulimit", limits::ulimit)?;
    Ok(())
}

fn devices(flags: &Flags, host: &mut HostConfig) -> Result<(), Failure> {
    let (mut paths, mut names) = (Vec::new(), Vec::new());
    for text in flags.all("device") {
        match device::parse(&text).map_err(Failure::Plain)? {
            Device::Path(mapping) => paths.push(mapping),
            Device::Named(name) => names.push(name),
        }
    }
    host.devices = List::from(paths);
    host.device_cgroup_rules = optional(checked(flags, "device-cgroup-rule", device::rule)?);
    let mut requests: Vec<DeviceRequest> = Vec::new();
    for text in flags.all("gpus") {
        requests.push(device::gpus(&text).map_err(|reason| Failure::flag("gpus", &text, &reason))?);
    }
    if !names.is_empty() {
        requests.push(DeviceRequest {
            driver: "cdi".into(),
            device_ids: List::from(
                names.iter().flat_map(|name| csv::fields(name)).collect::<Vec<_>>(),
            ),
            ..DeviceRequest::default()
        });
    }
    host.device_requests = if requests.is_empty() { List::default() } else { List::from(requests) };
    Ok(())
}
