//! Whose a container's cgroup is (config-linux.md, "Cgroup ownership").

use spec::oci::{Mount, Spec};

/// The user of the host to whom the group is given: who runs the program, in a user namespace and a cgroup namespace of
/// its own, with a cgroup file system that can be written.
pub(crate) fn owner(spec: &Spec) -> Option<u32> {
    let linux = spec.linux.as_ref()?;
    let new = |kind: &str| {
        let fresh = |path: &Option<String>| path.as_deref().unwrap_or_default().is_empty();
        linux.namespaces.iter().any(|namespace| namespace.kind == kind && fresh(&namespace.path))
    };
    if !new("cgroup") || !new("user") || !spec.mounts.iter().any(is_writable_cgroup) {
        return None;
    }
    let uid = spec.process.as_ref()?.user.uid;
    linux.uid_mappings.iter().find_map(|map| {
        let offset = uid.checked_sub(map.container_id).filter(|offset| *offset < map.size)?;
        map.host_id.checked_add(offset)
    })
}

fn is_writable_cgroup(mount: &Mount) -> bool {
    mount.source.as_deref() == Some("cgroup")
        && mount.destination.trim_end_matches('/') == "/sys/fs/cgroup"
        && !mount.options.iter().any(|option| option == "ro")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(options: &[&str], kinds: &[&str], uid: u32) -> Spec {
        let namespaces: Vec<_> =
            kinds.iter().map(|kind| serde_json::json!({"type": kind})).collect();
        serde_json::from_value(serde_json::json!({
            "process": {"user": {"uid": uid}},
            "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}],
            "linux": {
                "namespaces": namespaces,
                "uidMappings": [
                    {"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 10, "hostID": 5000, "size": 5},
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn the_group_is_given_to_the_mapped_user_only_where_it_can_be_used() {
        let both = &["user", "cgroup"][..];
        assert_eq!(owner(&spec(&["nosuid"], both, 0)), Some(1000));
        assert_eq!(owner(&spec(&["nosuid"], both, 12)), Some(5002));
        assert_eq!(owner(&spec(&["nosuid"], both, 7)), None);
        assert_eq!(owner(&spec(&["ro"], both, 0)), None);
        assert_eq!(owner(&spec(&[], &["user"], 0)), None);
        assert_eq!(owner(&spec(&[], &["cgroup"], 0)), None);
        assert_eq!(owner(&Spec::default()), None);
    }
}
