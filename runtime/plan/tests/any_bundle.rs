//! Whatever a bundle says, it becomes a plan within its promises or one sentence.

use plan::{Given, MountKind, Plan, SourceKind};
use proptest::prelude::*;
use spec::oci::{Hook, Hooks, Linux, Mount, Namespace, NetDevice, Process, Root, Spec};

/// Texts near the ones that matter.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z./:=,0-9-]{0,12}",
        "(/(proc|sys|dev|\\.\\.|\\.|etc|self|fd)){0,5}/?",
        Just("net.ipv4.ip_forward".to_owned()),
        Just("PATH=/bin:/usr/bin".to_owned()),
        any::<String>().prop_map(|text| text.chars().take(20).collect()),
    ]
}

fn options() -> impl Strategy<Value = Vec<String>> {
    let known = prop::sample::select(vec![
        "ro",
        "rbind",
        "rprivate",
        "rro",
        "noatime",
        "size=4",
        "bind",
        "rw",
        "remount",
        "tmpcopyup",
        "idmap",
        "sync",
    ]);
    prop::collection::vec(prop_oneof![known.prop_map(str::to_owned), text()], 0..5)
}

fn mount() -> impl Strategy<Value = Mount> {
    let kinds = prop::sample::select(vec!["proc", "sysfs", "tmpfs", "bind", "cgroup", "ext4", ""]);
    (text(), kinds, options()).prop_map(|(destination, kind, options)| Mount {
        destination,
        kind: Some(kind.to_owned()),
        options,
        ..Mount::default()
    })
}

fn bundle() -> impl Strategy<Value = Spec> {
    let lists = || prop::collection::vec(text(), 0..4);
    let sysctls = prop::collection::btree_map(text(), text(), 0..3);
    let devices = prop::collection::btree_map(text(), prop::option::of(text()), 0..3);
    let hooks = prop::collection::vec((text(), lists(), any::<Option<i64>>()), 0..2);
    let lists = (lists(), lists(), lists());
    (lists, text(), prop::collection::vec(mount(), 0..4), sysctls, devices, hooks).prop_map(
        |((args, env, masked_paths), cwd, mounts, sysctl, devices, hooks)| {
            let device = |(host, name)| (host, NetDevice { name });
            let hook = |(path, args, timeout)| Hook { path, args, timeout, ..Hook::default() };
            let kinds = ["mount", "network", "ipc", "pid"];
            let namespace = |kind: &str| Namespace { kind: kind.to_owned(), path: None };
            let linux = Linux {
                namespaces: kinds.map(namespace).to_vec(),
                masked_paths,
                sysctl,
                net_devices: devices.into_iter().map(device).collect(),
                ..Linux::default()
            };
            Spec {
                oci_version: "1.3.0".to_owned(),
                process: Some(Process { args, env, cwd, ..Process::default() }),
                root: Some(Root::default()),
                mounts,
                linux: Some(linux),
                hooks: Some(Hooks {
                    create_container: hooks.into_iter().map(hook).collect(),
                    ..Hooks::default()
                }),
                ..Spec::default()
            }
        },
    )
}

/// Whether a path of a plan is absolute and has no component that walks back.
fn is_clean(path: &std::ffi::CStr) -> bool {
    let path = path.to_string_lossy();
    path.starts_with('/') && path.split('/').all(|part| part != ".." && part != ".")
}

proptest! {
    #[test]
    fn a_plan_keeps_its_promises(spec in bundle(), administrator: bool) {
        let sources = vec![Some(SourceKind::Directory); spec.mounts.len()];
        let given = Given { sources, administrator, ..Given::default() };
        match Plan::new(&spec, &given) {
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
            Ok(plan) => {
                prop_assert!(is_clean(&plan.process.cwd));
                prop_assert!(!plan.process.argv.is_empty());
                prop_assert!(administrator || plan.hooks == plan::HooksPlan::default());
                prop_assert!(plan.hooks.create_container.iter().all(|hook| is_clean(&hook.path)));
                prop_assert!(administrator || plan.net_devices.is_empty());
                for device in &plan.net_devices {
                    prop_assert!((1..=15).contains(&device.name.len()) && !device.name.contains('/'));
                }
                prop_assert!(plan.masked.iter().all(|path| is_clean(path)));
                for mount in &plan.mounts {
                    prop_assert!(is_clean(&mount.target));
                    let target = mount.target.to_string_lossy();
                    let typed = matches!(mount.kind, MountKind::Typed(_));
                    let changes = matches!(mount.kind, MountKind::Remount(_));
                    prop_assert!(target != "/proc" || (typed && mount.no_links) || changes || mount.proc_source);
                    prop_assert!(!target.starts_with("/proc/") || mount.may_cover_proc || changes);
                    prop_assert!(administrator || !matches!(mount.kind, MountKind::Classic(_)));
                    prop_assert!(administrator || !mount.proc_source);
                }
                for sysctl in &plan.sysctls {
                    let path = sysctl.path.to_string_lossy();
                    prop_assert!(path.starts_with("sys/net/") || path.starts_with("sys/kernel/") || path.starts_with("sys/fs/mqueue/"));
                    prop_assert!(!path.contains("/../"));
                }
            }
        }
    }
}
