//! Changing a container that exists: rename and update.

use super::actor::{Change, Command, tell};
use super::state::State;
use super::{name as names, resources, validate};
use crate::open::Engine;
use crate::spec::resources::{BlockDevices, resources as limits};
use api_types::container::UpdateBody;
use api_types::host::HostConfig;
use spec::Failure;

impl Engine {
    /// Gives a container another name.
    pub async fn rename(&self, name: &str, new: &str) -> Result<(), Failure> {
        if name.is_empty() || new.is_empty() {
            return Err(Failure::invalid("Neither old nor new names may be empty"));
        }
        let handle = self.0.containers.find(name)?;
        let wrap = |failure: Failure| {
            let text = format!("Error when allocating new name: {failure}");
            Failure::new(failure.class, text)
        };
        let new = names::validate(new).map_err(|failure| {
            // Docker shows the name with the slash that it keeps names with.
            wrap(Failure::new(failure.class, failure.message.replace(" (", " (/")))
        })?;
        let old = handle.view().config.name.clone();
        if old == new {
            return Err(Failure::invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        self.0.containers.reserve(&new, &handle.id).map_err(wrap)?;
        let name = new.clone();
        let change = Change(Box::new(move |config| {
            config.name = name;
            Ok(())
        }));
        match handle.ask(|reply| Command::Configure { change, live: None, reply }).await {
            Ok(()) => {
                self.0.containers.release(&old, &handle.id);
                tell(&self.0, &handle.view().config, "rename", &[("oldName", format!("/{old}"))]);
                Ok(())
            }
            Err(failure) => {
                self.0.containers.release(&new, &handle.id);
                Err(failure)
            }
        }
    }

    /// Changes limits and the restart policy; what is not set stays. Gives warnings for the user.
    pub async fn update(&self, name: &str, body: UpdateBody) -> Result<Vec<String>, Failure> {
        let handle = self.0.containers.find(name)?;
        let view = handle.view();
        let id = &handle.id;
        let wrap = |failure: Failure| {
            Failure::new(failure.class, format!("Cannot update container {id}: {failure}"))
        };
        if matches!(view.state, State::Removing | State::Dead) {
            let text = "container is marked for removal and cannot be \"update\"";
            return Err(wrap(Failure::conflict(text)));
        }
        let mut asked = changes(&body);
        let warnings = resources::check(&mut asked, &self.0.facts, true)?;
        let policy = body.restart_policy.clone();
        if !policy.name.is_empty() {
            validate::restart_policy(&policy.name, policy.maximum_retry_count)?;
        }
        let live = limits(&asked, &BlockDevices::new())?;
        let live = Some(Box::new(spec::oci::Resources {
            block_io: live.block_io.filter(|io| io.weight.is_some()),
            ..live
        }));
        let change = Change(Box::new(move |config| {
            apply(&mut config.host, &asked)?;
            if policy.name.is_empty() {
                return Ok(());
            }
            if config.host.auto_remove && policy.name != "no" {
                let text = "Restart policy cannot be updated because AutoRemove is enabled for the container";
                return Err(Failure::invalid(text));
            }
            config.host.restart_policy = policy;
            Ok(())
        }));
        handle.ask(|reply| Command::Configure { change, live, reply }).await.map_err(wrap)?;
        tell(&self.0, &handle.view().config, "update", &[]);
        Ok(warnings)
    }
}

/// The limits of an update, as a host configuration that has nothing else.
fn changes(body: &UpdateBody) -> HostConfig {
    HostConfig {
        cpu_shares: body.cpu_shares,
        memory: body.memory,
        nano_cpus: body.nano_cpus,
        blkio_weight: body.blkio_weight,
        cpu_period: body.cpu_period,
        cpu_quota: body.cpu_quota,
        cpu_realtime_period: body.cpu_realtime_period,
        cpu_realtime_runtime: body.cpu_realtime_runtime,
        cpuset_cpus: body.cpuset_cpus.clone(),
        cpuset_mems: body.cpuset_mems.clone(),
        memory_reservation: body.memory_reservation,
        memory_swap: body.memory_swap,
        memory_swappiness: None,
        pids_limit: body.pids_limit.filter(|limit| *limit != 0),
        ..HostConfig::default()
    }
}

/// Takes over what is set, and fails for what contradicts what was set before.
fn apply(host: &mut HostConfig, asked: &HostConfig) -> Result<(), Failure> {
    let conflict = |text: &str| Err(Failure::invalid(text));
    if host.nano_cpus > 0 && asked.cpu_period > 0 {
        return conflict(
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        );
    }
    if host.nano_cpus > 0 && asked.cpu_quota > 0 {
        return conflict(
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        );
    }
    if asked.nano_cpus > 0 && host.cpu_period > 0 {
        return conflict(
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
        );
    }
    if asked.nano_cpus > 0 && host.cpu_quota > 0 {
        return conflict(
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
        );
    }
    let memory = if asked.memory != 0 { asked.memory } else { host.memory };
    let swap = if asked.memory_swap != 0 { asked.memory_swap } else { host.memory_swap };
    if asked.memory != 0 && swap > 0 && memory > swap {
        return conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        );
    }
    if memory == 0 && asked.memory_swap > 0 {
        return conflict(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    let set = |own: &mut i64, asked: i64| {
        if asked != 0 {
            *own = asked;
        }
    };
    set(&mut host.cpu_shares, asked.cpu_shares);
    set(&mut host.memory, asked.memory);
    set(&mut host.nano_cpus, asked.nano_cpus);
    set(&mut host.cpu_period, asked.cpu_period);
    set(&mut host.cpu_quota, asked.cpu_quota);
    set(&mut host.cpu_realtime_period, asked.cpu_realtime_period);
    set(&mut host.cpu_realtime_runtime, asked.cpu_realtime_runtime);
    set(&mut host.memory_reservation, asked.memory_reservation);
    set(&mut host.memory_swap, asked.memory_swap);
    if asked.blkio_weight != 0 {
        host.blkio_weight = asked.blkio_weight;
    }
    for (own, asked) in
        [(&mut host.cpuset_cpus, &asked.cpuset_cpus), (&mut host.cpuset_mems, &asked.cpuset_mems)]
    {
        if !asked.is_empty() {
            own.clone_from(asked);
        }
    }
    if asked.pids_limit.is_some() {
        host.pids_limit = asked.pids_limit;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_stays() {
        let mut host = HostConfig {
            memory: 64 << 20,
            memory_swap: 128 << 20,
            cpu_shares: 5,
            ..HostConfig::default()
        };
        let body: UpdateBody =
            serde_json::from_str(r#"{"Memory":33554432,"PidsLimit":0}"#).unwrap();
        apply(&mut host, &changes(&body)).unwrap();
        assert_eq!(
            (host.memory, host.memory_swap, host.cpu_shares, host.pids_limit),
            (32 << 20, 128 << 20, 5, None)
        );
    }

    #[test]
    fn a_contradiction_to_what_was_set_before_is_refused() {
        let mut host = HostConfig {
            nano_cpus: 1,
            memory: 64 << 20,
            memory_swap: 65 << 20,
            ..HostConfig::default()
        };
        let asked = HostConfig { cpu_quota: 5000, ..HostConfig::default() };
        assert_eq!(
            apply(&mut host, &asked).unwrap_err().message,
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
        );
        let asked = HostConfig { memory: 1 << 30, ..HostConfig::default() };
        assert!(
            apply(&mut host, &asked)
                .unwrap_err()
                .message
                .starts_with("Memory limit should be smaller")
        );
    }
}
