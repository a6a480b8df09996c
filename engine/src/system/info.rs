//! `info`: what there is, and what this host can do.

use super::host;
use super::version::{PRODUCT, VERSION};
use crate::Engine;
use crate::container::facts::Facts;
use crate::container::state::State;
use crate::event::{now, time_text};
use crate::image::show::DRIVER;
use api_types::system::{
    Commit, FirewallInfo, IndexInfo, Info, PluginsInfo, RegistryConfig, Runtime,
};
use api_types::{List, Map};
use spec::Failure;

impl Engine {
    /// All of it.
    pub async fn info(&self) -> Result<Info, Failure> {
        let store = self.images().clone();
        let images = crate::image::blocking(move || {
            Ok(store.list(&images::Filters::default(), true)?.len())
        })
        .await?;
        let mut info = Info { images: images as i64, ..Info::default() };
        self.count_containers(&mut info);
        describe_host(&mut info);
        let facts = Facts::probe();
        describe_limits(&mut info, &facts);
        self.describe_engine(&mut info);
        info.warnings = warnings(&info, &facts);
        Ok(info)
    }

    fn count_containers(&self, info: &mut Info) {
        for handle in self.0.containers.all() {
            info.containers += 1;
            match handle.view().state {
                State::Running | State::Starting | State::Restarting => {
                    info.containers_running += 1
                }
                State::Paused => info.containers_paused += 1,
                _ => info.containers_stopped += 1,
            }
        }
    }

    fn describe_engine(&self, info: &mut Info) {
        let config = &self.0.config;
        let commit = || Commit { id: VERSION.into() };
        info.driver = DRIVER.into();
        info.driver_status = vec![["Backing Filesystem".into(), "overlayfs".into()]];
        info.plugins = PluginsInfo {
            volume: vec!["local".to_owned()].into(),
            network: ["bridge", "host", "null"].map(str::to_owned).into_iter().collect(),
            authorization: List::default(),
            log: ["json-file", "none"].map(str::to_owned).into_iter().collect(),
        };
        info.logging_driver.clone_from(&config.log_driver);
        info.cgroup_driver = "cgroupfs".into();
        info.index_server_address = "https://index.docker.io/v1/".into();
        info.registry_config = registries(&self.config().registry);
        info.docker_root_dir = config.data_root.to_string_lossy().into_owned();
        info.labels.clone_from(&config.labels);
        info.server_version = VERSION.into();
        info.runtimes = Map::from_iter([(
            "runc".to_owned(),
            Runtime { path: "runc".into(), ..Runtime::default() },
        )]);
        info.default_runtime = "runc".into();
        info.init_binary = "docker-init".into();
        info.containerd_commit = commit();
        info.runc_commit = commit();
        info.init_commit = commit();
        let seccomp = match config.seccomp_profile.as_deref() {
            None => "builtin",
            Some("unconfined") => "unconfined",
            Some(_) => "custom",
        };
        info.security_options = vec![format!("name=seccomp,profile={seccomp}")];
        if config.no_new_privileges {
            info.security_options.push("name=no-new-privileges".into());
        }
        info.firewall_backend = Some(FirewallInfo { driver: "nftables".into(), info: Vec::new() });
        // Containers are never children of the engine: a restart of it leaves them alone.
        info.live_restore_enabled = true;
    }
}

fn registries(config: &distribution::Config) -> RegistryConfig {
    let url = |mirror: &distribution::Mirror| format!("{}/", mirror.url.trim_end_matches('/'));
    let mirrors: Vec<String> =
        config.mirrors.get("docker.io").into_iter().flatten().map(url).collect();
    let hub = IndexInfo {
        name: "docker.io".into(),
        mirrors: mirrors.clone(),
        secure: true,
        official: true,
    };
    let (networks, hosts): (Vec<_>, Vec<_>) =
        config.insecure.iter().cloned().partition(|rule| rule.contains('/'));
    let insecure = |name: String| {
        let (mirrors, secure, official) = (Vec::new(), false, false);
        (name.clone(), IndexInfo { name, mirrors, secure, official })
    };
    let indexes = std::iter::once(("docker.io".to_owned(), hub));
    let own = ["::1/128".to_owned(), "127.0.0.0/8".to_owned()];
    RegistryConfig {
        insecure_registry_cidrs: own.into_iter().chain(networks).collect(),
        index_configs: Map::from_iter(indexes.chain(hosts.into_iter().map(insecure))),
        mirrors,
    }
}

fn describe_host(info: &mut Info) {
    let (name, version) = host::distribution();
    info.operating_system = name;
    info.os_version = version;
    info.os_type = "linux".into();
    info.architecture = host::machine();
    info.kernel_version = host::text("/proc/sys/kernel/osrelease").unwrap_or_default();
    info.mem_total = host::memory();
    info.ipv4_forwarding = host::switch("/proc/sys/net/ipv4/ip_forward");
    info.n_fd = host::open_files();
    info.system_time = time_text(Some(now()));
    // A name that stays the same for this host and says nothing about it.
    let machine = host::text("/etc/machine-id").unwrap_or_default();
    info.id = format!("{PRODUCT}:{}", machine.chars().take(12).collect::<String>());
}

fn describe_limits(info: &mut Info, facts: &Facts) {
    info.ncpu = facts.cpus as i64;
    info.name.clone_from(&facts.hostname);
    info.memory_limit = facts.memory;
    info.swap_limit = facts.swap;
    info.cpu_cfs_period = facts.cpu_cfs;
    info.cpu_cfs_quota = facts.cpu_cfs;
    info.cpu_shares = facts.cpu_shares;
    info.cpu_set = facts.cpuset;
    info.pids_limit = facts.pids;
    info.oom_kill_disable = facts.oom_kill_disable;
    info.cgroup_version = if facts.cgroup_v2 { "2".into() } else { "1".into() };
}

fn warnings(info: &Info, facts: &Facts) -> List<String> {
    let missing = [
        (info.memory_limit, "WARNING: No memory limit support"),
        (info.swap_limit, "WARNING: No swap limit support"),
        (info.cpu_cfs_quota, "WARNING: No cpu cfs quota support"),
        (info.cpu_shares, "WARNING: No cpu shares support"),
        (info.cpu_set, "WARNING: No cpuset support"),
        (info.pids_limit, "WARNING: No pids limit support"),
        (info.ipv4_forwarding, "WARNING: IPv4 forwarding is disabled"),
        (facts.cgroup_v2 || facts.oom_kill_disable, "WARNING: No oom kill disable support"),
    ];
    let warnings: Vec<String> =
        missing.iter().filter(|(has, _)| !has).map(|(_, text)| (*text).to_owned()).collect();
    if warnings.is_empty() { List::default() } else { warnings.into() }
}
