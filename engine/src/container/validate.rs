//! Judging what a client asks for at create, in Docker's order and words, before anything is done.

use super::config::{Mode, clean_path};
use super::facts::Facts;
use super::validate_network::{endpoints, exposed_port, extra_host, network_mode, port_range};
use super::{logging, mount_options, resources, restart, security, signal};
use crate::config::Config as EngineConfig;
use crate::spec::{caps, devices};
use api_types::container::{Config, CreateBody, HealthConfig};
use api_types::host::HostConfig;
use spec::Failure;

/// The longest host name that Linux takes.
const LONGEST_HOSTNAME: usize = 64;
/// The shortest time of a health check: one millisecond.
const SHORTEST: i64 = 1_000_000;

pub(super) fn refuse<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::invalid(text))
}

/// Checks the body, resolves the engine's defaults in it, and gives warnings for the user.
pub fn validate(
    body: &mut CreateBody,
    engine: &EngineConfig,
    facts: &Facts,
) -> Result<Vec<String>, Failure> {
    let (config, host) = (&mut body.config, &mut body.host_config);
    network_mode(config, host)?;
    if host.pids_limit.is_some_and(|limit| limit <= 0) {
        host.pids_limit = None;
    }
    if host.restart_policy.name.is_empty() {
        host.restart_policy.name = "no".into();
    }
    portable(config)?;
    general(host)?;
    if config.hostname.len() > LONGEST_HOSTNAME {
        return refuse(format!(
            "hostname {:?} is too long (maximum {LONGEST_HOSTNAME} bytes)",
            config.hostname
        ));
    }
    let mut warnings = resources::check(host, facts, false)?;
    on_this_host(host, engine, &mut warnings)?;
    endpoints(body)?;
    adapt(&mut body.host_config, engine, facts);
    logging::resolve(&mut body.host_config.log_config, &engine.log_driver, &engine.log_options)?;
    security::parse(&body.host_config.security_opt, engine.no_new_privileges)?;
    for rule in &body.host_config.device_cgroup_rules {
        devices::parse_rule(rule)?;
    }
    Ok(warnings)
}

fn portable(config: &mut Config) -> Result<(), Failure> {
    if !config.working_dir.is_empty() {
        if !config.working_dir.starts_with('/') {
            return refuse(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                config.working_dir
            ));
        }
        config.working_dir = clean_path(&config.working_dir);
    }
    if !config.stop_signal.is_empty() {
        signal::parse(&config.stop_signal)?;
    }
    for variable in &config.env {
        if variable.is_empty() || variable.starts_with('=') {
            return refuse(format!("invalid environment variable: {variable}"));
        }
        if variable.contains('\0') {
            return refuse("invalid environment variable: it contains a NUL byte");
        }
    }
    for port in config.exposed_ports.keys() {
        exposed_port(port)?;
    }
    config.healthcheck.as_ref().map_or(Ok(()), health)
}

fn health(health: &HealthConfig) -> Result<(), Failure> {
    let times = [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ];
    if health.retries < 0 {
        return refuse("Retries in Healthcheck cannot be negative");
    }
    match times.iter().find(|(_, time)| *time != 0 && *time < SHORTEST) {
        Some((name, _)) => refuse(format!("{name} in Healthcheck cannot be less than 1ms")),
        None => Ok(()),
    }
}

/// What does not depend on the kernel.
fn general(host: &HostConfig) -> Result<(), Failure> {
    let none = matches!(host.restart_policy.name.as_str(), "" | "no");
    if host.auto_remove && !none {
        return refuse("can't create 'AutoRemove' container with restart policy");
    }
    for extra in &host.extra_hosts {
        extra_host(extra)?;
    }
    if let Some(server) = host.dns.iter().find(|text| text.parse::<std::net::IpAddr>().is_err()) {
        return refuse(format!("invalid IP address for a DNS server: {server:?}"));
    }
    for (port, bindings) in &host.port_bindings {
        exposed_port(port)?;
        for binding in bindings {
            let text = &binding.host_port;
            if !text.is_empty() && port_range(text).is_none() {
                return refuse(format!("invalid port specification: {text:?}"));
            }
            if !binding.host_ip.is_empty() && binding.host_ip.parse::<std::net::IpAddr>().is_err() {
                return refuse(format!("invalid IP address {:?} in port binding", binding.host_ip));
            }
        }
    }
    restart_policy(&host.restart_policy.name, host.restart_policy.maximum_retry_count)?;
    caps::normalize("CapAdd", &host.cap_add)?;
    caps::normalize("CapDrop", &host.cap_drop)?;
    if !matches!(host.isolation.as_str(), "" | "default") {
        return refuse(format!(
            "Invalid isolation: {:?} - linux only supports 'default'",
            host.isolation
        ));
    }
    if host.annotations.contains_key("") {
        return refuse(
            "invalid Annotations: the empty string is not permitted as an annotation key",
        );
    }
    Ok(())
}

/// Checks a restart policy.
pub fn restart_policy(name: &str, most: i64) -> Result<(), Failure> {
    let Some(policy) = restart::Policy::parse(name, most) else {
        return refuse(format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ));
    };
    match policy {
        _ if name.is_empty() || most == 0 => Ok(()),
        restart::Policy::OnFailure { .. } if most < 0 => {
            refuse("invalid restart policy: maximum retry count cannot be negative")
        }
        restart::Policy::OnFailure { .. } => Ok(()),
        _ if most < 0 => refuse(
            "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative",
        ),
        _ => {
            refuse("invalid restart policy: maximum retry count can only be used with 'on-failure'")
        }
    }
}

fn on_this_host(
    host: &mut HostConfig,
    engine: &EngineConfig,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let named = |mode: &str| mode.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    if !(matches!(host.ipc_mode.as_str(), "" | "none" | "private" | "shareable" | "host")
        || named(&host.ipc_mode))
    {
        return refuse(format!("Invalid IPC mode: {}", host.ipc_mode));
    }
    if !(matches!(host.pid_mode.as_str(), "" | "host") || named(&host.pid_mode)) {
        return refuse(format!("invalid PID mode: {}", host.pid_mode));
    }
    if host.shm_size < 0 {
        return refuse("SHM size can not be less than 0");
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return refuse(format!("invalid UTS mode: {}", host.uts_mode));
    }
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return refuse(format!("invalid user namespace mode: {}", host.userns_mode));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return refuse(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        ));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "private" | "host") {
        return refuse(format!("invalid cgroup namespace mode: {}", host.cgroupns_mode));
    }
    if !matches!(host.runtime.as_str(), "" | "runc" | "io.containerd.runc.v2") {
        return refuse(format!("Unknown runtime specified {}", host.runtime));
    }
    if let Some(request) = host.device_requests.first() {
        return refuse(format!(
            "could not select device driver {:?} with capabilities: {}",
            request.driver,
            go_list(&request.capabilities)
        ));
    }
    if let Some(option) = host.storage_opt.keys().next() {
        return refuse(format!(
            "invalid storage option {option:?}: this engine limits no root file system"
        ));
    }
    let publishes = !host.port_bindings.is_empty() || host.publish_all_ports;
    if publishes && Mode::of(&host.network_mode) == Mode::Host {
        warnings.push("Published ports are discarded when using host network mode".into());
    }
    for (path, options) in &host.tmpfs {
        mount_options::check_tmpfs(path, options)?;
    }
    for limit in host.ulimits.iter().chain(&engine.ulimits) {
        crate::spec::rlimits::check(limit)?;
    }
    Ok(())
}

/// A list of lists as Go prints it: `[[gpu nvidia]]`.
fn go_list(lists: &[api_types::List<String>]) -> String {
    let inner: Vec<String> = lists.iter().map(|list| format!("[{}]", list.join(" "))).collect();
    format!("[{}]", inner.join(" "))
}

/// Fills in what the engine decides when the client says nothing.
fn adapt(host: &mut HostConfig, engine: &EngineConfig, facts: &Facts) {
    if host.memory > 0 && host.memory_swap == 0 {
        host.memory_swap = host.memory.saturating_mul(2);
    }
    if host.shm_size == 0 {
        host.shm_size = engine.shm_size;
    }
    if host.ipc_mode.is_empty() {
        host.ipc_mode.clone_from(&engine.ipc_mode);
    }
    if host.runtime.is_empty() {
        host.runtime = "runc".into();
    }
    if host.cgroupns_mode.is_empty() {
        let own = facts.cgroup_v2;
        let usual = if own { "private" } else { "host" };
        let configured = engine.cgroupns_mode.as_deref().unwrap_or(usual);
        host.cgroupns_mode =
            if host.privileged && !own { "host".into() } else { configured.to_owned() };
    }
    if host.oom_kill_disable.is_none() && facts.oom_kill_disable {
        host.oom_kill_disable = Some(false);
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
