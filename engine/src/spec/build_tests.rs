use super::*;
use crate::container::config::{ImagePin, Mount, MountKind};
use crate::spec::paths;
use spec::{ContainerId, Platform};

fn container(host: &str, config: &str) -> ContainerConfig {
    let mut host: api_types::host::HostConfig = serde_json::from_str(host).unwrap();
    for (mode, usual) in [
        (&mut host.network_mode, "bridge"),
        (&mut host.ipc_mode, "private"),
        (&mut host.cgroupns_mode, "private"),
    ] {
        if mode.is_empty() {
            *mode = usual.into();
        }
    }
    host.masked_paths = paths::masked(0).into();
    host.readonly_paths = paths::readonly().into();
    host.shm_size = 64 << 20;
    ContainerConfig {
        id: ContainerId::from_bytes(&[7; 32]),
        name: "web".into(),
        created: 0,
        image: ImagePin { id: "sha256:0".into(), layers: vec![], platform: Platform::host() },
        path: "/bin/true".into(),
        args: vec!["-x".into()],
        config: serde_json::from_str(config).unwrap(),
        host,
        endpoints: BTreeMap::new(),
        mounts: vec![],
    }
}

fn built_with(config: &ContainerConfig, security: &Security, uid: u32) -> Built {
    build(Input {
        config,
        security,
        user: User { uid, ..User::default() },
        devices: &[],
        host_devices: &[],
        block_devices: &BlockDevices::new(),
        linked: &[],
        ulimits: &[],
        hostname: "070707070707",
        home: "/root",
    })
    .unwrap()
}

fn built(config: &ContainerConfig) -> Built {
    let options: Vec<String> = config.host.security_opt.iter().cloned().collect();
    built_with(config, &crate::container::security::parse(&options, false).unwrap(), 0)
}

fn lines(built: &Built) -> Vec<String> {
    let line = |(mount, source): (&spec::oci::Mount, &Source)| {
        let kind = mount.kind.as_deref().unwrap_or_default();
        format!("{} {kind} {} {source:?}", mount.destination, mount.options.join(","))
    };
    built.spec.mounts.iter().zip(&built.sources).map(line).collect()
}

#[test]
fn the_default_is_dockers() {
    let config = container("{}", r#"{"Env":["A=1"]}"#);
    let built = built(&config);
    assert_eq!(
        lines(&built),
        [
            "/proc proc nosuid,noexec,nodev Kernel",
            "/dev tmpfs nosuid,strictatime,mode=755,size=65536k Kernel",
            "/dev/pts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5 Kernel",
            "/sys sysfs nosuid,noexec,nodev,ro Kernel",
            "/sys/fs/cgroup cgroup ro,nosuid,noexec,nodev Kernel",
            "/dev/mqueue mqueue nosuid,noexec,nodev Kernel",
            "/dev/shm tmpfs nosuid,noexec,nodev,mode=1777,size=67108864 Kernel",
            "/etc/resolv.conf bind rbind,rprivate ResolvConf",
            "/etc/hostname bind rbind,rprivate Hostname",
            "/etc/hosts bind rbind,rprivate Hosts",
        ]
    );
    let process = built.spec.process.as_ref().unwrap();
    assert_eq!(process.args, ["/bin/true", "-x"]);
    assert_eq!(
        process.env,
        [&format!("PATH={}", environment::PATH), "HOSTNAME=070707070707", "A=1", "HOME=/root"]
    );
    assert_eq!((process.cwd.as_str(), process.oom_score_adj), ("/", Some(0)));
    assert_eq!(process.capabilities.as_ref().unwrap().effective, spec::linux::DEFAULT_CAPABILITIES);
    let linux = built.spec.linux.as_ref().unwrap();
    let namespaces: Vec<_> =
        linux.namespaces.iter().map(|namespace| namespace.kind.as_str()).collect();
    assert_eq!(namespaces, ["mount", "network", "uts", "pid", "ipc", "cgroup"]);
    assert_eq!((linux.masked_paths.len(), linux.readonly_paths.len()), (12, 5));
    assert!(linux.sysctl.is_empty());
    assert_eq!(
        net_sysctls(&config),
        [
            ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()),
            ("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned()),
        ]
    );
}

#[test]
fn host_modes_leave_namespaces_with_the_host() {
    let host = r#"{"NetworkMode":"host","PidMode":"host","IpcMode":"host","UTSMode":"host","CgroupnsMode":"host",
        "Sysctls":{"net.core.somaxconn":"1","kernel.msgmax":"2"}}"#;
    let config = container(host, "{}");
    let built = built(&config);
    let linux = built.spec.linux.as_ref().unwrap();
    let namespaces: Vec<_> =
        linux.namespaces.iter().map(|namespace| namespace.kind.as_str()).collect();
    assert_eq!(namespaces, ["mount"]);
    assert_eq!(linux.sysctl.len(), 2);
    assert!(net_sysctls(&config).is_empty());
    assert_eq!(built.spec.hostname, None);
    assert!(lines(&built).contains(&"/dev/shm bind rbind,rprivate HostShm".to_owned()));
}

#[test]
fn namespaces_of_other_containers_are_joined() {
    let host =
        r#"{"NetworkMode":"container:aa","PidMode":"container:bb","IpcMode":"container:cc"}"#;
    let built = built(&container(host, "{}"));
    assert_eq!(
        built.joins,
        [
            (Namespace::Network, "aa".to_owned()),
            (Namespace::Pid, "bb".to_owned()),
            (Namespace::Ipc, "cc".to_owned()),
        ]
    );
    assert_eq!(built.spec.linux.as_ref().unwrap().namespaces.len(), 6);
}

#[test]
fn privileged_hides_nothing_and_may_write_to_sys() {
    let built = built(&container(r#"{"Privileged":true}"#, "{}"));
    let linux = built.spec.linux.as_ref().unwrap();
    assert!(linux.masked_paths.is_empty() && linux.readonly_paths.is_empty());
    assert!(lines(&built).contains(&"/sys sysfs nosuid,noexec,nodev Kernel".to_owned()));
    assert!(lines(&built).contains(&"/sys/fs/cgroup cgroup nosuid,noexec,nodev Kernel".to_owned()));
    assert_eq!(linux.resources.as_ref().unwrap().devices.len(), 1);
    assert_eq!(
        built.spec.process.as_ref().unwrap().capabilities.as_ref().unwrap().bounding.len(),
        41
    );
}

#[test]
fn system_paths_may_be_opened_without_other_privilege() {
    let built = built(&container(
        r#"{"SecurityOpt":["systempaths=unconfined","no-new-privileges"]}"#,
        "{}",
    ));
    assert!(built.spec.linux.as_ref().unwrap().masked_paths.is_empty());
    assert!(built.spec.process.as_ref().unwrap().no_new_privileges);
}

#[test]
fn user_mounts_replace_usual_ones_and_come_in_order_of_depth() {
    let mut config = container(r#"{"ReadonlyRootfs":true,"IpcMode":"none"}"#, "{}");
    let mut deep = Mount::new(MountKind::Bind, "/a/b/c".into());
    (deep.source, deep.writable, deep.propagation) = ("/x".into(), false, "rslave".into());
    let mut volume = Mount::new(MountKind::Volume, "/a".into());
    (volume.name, volume.writable) = ("v".into(), false);
    let mut tmp = Mount::new(MountKind::Tmpfs, "/etc/hosts".into());
    tmp.tmpfs_options = "exec".into();
    config.mounts = vec![deep, volume, Mount::new(MountKind::Bind, "/dev".into()), tmp];
    let built = built(&config);
    let all = lines(&built);
    assert_eq!(
        all[3..],
        [
            "/a bind rbind,ro Mount(1)",
            "/dev bind rbind Mount(2)",
            "/etc/hosts tmpfs nosuid,nodev,rprivate,exec Kernel",
            "/etc/resolv.conf bind rbind,rprivate,ro ResolvConf",
            "/etc/hostname bind rbind,rprivate,ro Hostname",
            "/a/b/c bind rbind,rro,rslave Mount(0)",
        ]
    );
    assert!(!all.iter().any(|line| line.starts_with("/dev/")));
    assert_eq!(built.spec.linux.as_ref().unwrap().rootfs_propagation.as_deref(), Some("rslave"));
    assert!(built.spec.root.as_ref().unwrap().readonly);
}

#[test]
fn another_user_gets_no_effective_capability() {
    let config = container("{}", "{}");
    let built = built_with(&config, &crate::container::security::parse(&[], false).unwrap(), 1000);
    let sets = built.spec.process.unwrap().capabilities.unwrap();
    assert_eq!((sets.bounding.len(), sets.effective.len()), (14, 0));
}
