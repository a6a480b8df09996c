//! The engine as older versions show it.

use super::{add, image, inside, object};
use crate::http::reply::{self, Reply};
use crate::version::Version;
use api_types::Map;
use api_types::event::Event;
use api_types::system::{DiskUsage, Info};
use serde_json::{Value, json};
use spec::Failure;

/// `info`.
pub(crate) fn info(version: Version, mut info: Info) -> Result<Reply, Failure> {
    if version.before(44) {
        for (_, runtime) in info.runtimes.iter_mut() {
            runtime.status = Map::default();
        }
    }
    if version.before(49) {
        info.firewall_backend = None;
    }
    if !version.before(50) {
        return Ok(reply::ok(&info));
    }
    let mut entries = object(&info)?;
    add(&mut entries, json!({ "BridgeNfIptables": false, "BridgeNfIp6tables": false }));
    if version.before(49) {
        let commits = [
            ("ContainerdCommit", &info.containerd_commit),
            ("RuncCommit", &info.runc_commit),
            ("InitCommit", &info.init_commit),
        ];
        for (key, commit) in commits {
            if let Some(entries) = inside(&mut entries, key) {
                add(entries, json!({ "Expected": commit.id }));
            }
        }
    }
    if version.before(47)
        && let Some(registry) = inside(&mut entries, "RegistryConfig")
    {
        add(
            registry,
            json!({
                "AllowNondistributableArtifactsCIDRs": null,
                "AllowNondistributableArtifactsHostnames": null,
            }),
        );
    }
    Ok(reply::ok(&entries))
}

/// An event; `None` for one that did not exist yet.
pub(crate) fn event(version: Version, event: &Event) -> Option<Value> {
    if version.before(46) && event.kind == "image" && event.action == "create" {
        return None;
    }
    let mut entries = object(event).ok()?;
    if version.before(52) && matches!(event.kind.as_str(), "container" | "image") {
        add(&mut entries, json!({ "id": event.actor.id, "status": event.action }));
        if event.kind == "container" {
            let image = event.actor.attributes.get("image").map_or("", String::as_str);
            add(&mut entries, json!({ "from": image }));
        }
    }
    Some(Value::Object(entries))
}

/// Disk usage: only the old keys until 1.51, both until the client asks for details, then only the new ones.
pub(crate) fn disk_usage(
    version: Version,
    verbose: bool,
    mut usage: DiskUsage,
) -> Result<Reply, Failure> {
    if !version.before(52) && verbose {
        return Ok(reply::ok(&usage));
    }
    let mut old = json!({
        "LayersSize": 0, "Images": null, "Containers": null, "Volumes": null, "BuildCache": null,
    });
    if let Some(images) = &usage.image_usage {
        old["LayersSize"] = json!(images.total_size);
        old["Images"] = if version.before(44) {
            Value::Array(image::with_virtual_size(&images.items)?)
        } else {
            json!(images.items)
        };
    }
    if let Some(containers) = &usage.container_usage {
        old["Containers"] = json!(containers.items);
    }
    if let Some(volumes) = &usage.volume_usage {
        old["Volumes"] = json!(volumes.items);
    }
    if let Some(cache) = &usage.build_cache_usage {
        old["BuildCache"] = json!(cache.items);
    }
    if version.before(52) {
        return Ok(reply::ok(&old));
    }
    drop_items(&mut usage);
    let mut entries = object(&usage)?;
    add(&mut entries, old);
    Ok(reply::ok(&entries))
}

/// The new form lists the objects only for clients that ask for details.
fn drop_items(usage: &mut DiskUsage) {
    if let Some(images) = &mut usage.image_usage {
        images.items.clear();
    }
    if let Some(containers) = &mut usage.container_usage {
        containers.items.clear();
    }
    if let Some(volumes) = &mut usage.volume_usage {
        volumes.items.clear();
    }
    if let Some(cache) = &mut usage.build_cache_usage {
        cache.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_of(kind: &str, action: &str) -> Event {
        let mut event =
            Event { kind: kind.into(), action: action.into(), time: 1, ..Event::default() };
        event.actor.id = "x".into();
        event.actor.attributes.insert("image".into(), "busybox".into());
        event
    }

    fn shown(minor: u32, kind: &str, action: &str) -> Option<String> {
        event(Version::new(1, minor), &event_of(kind, action)).map(|event| event.to_string())
    }

    #[test]
    fn events_have_the_old_keys_until_1_51() {
        let plain = r#"{"Action":"start","Actor":{"Attributes":{"image":"busybox"},"ID":"x"},"Type":"container","time":1}"#;
        assert_eq!(shown(52, "container", "start").unwrap(), plain);
        let old = r#"{"Action":"start","Actor":{"Attributes":{"image":"busybox"},"ID":"x"},"Type":"container","from":"busybox","id":"x","status":"start","time":1}"#;
        assert_eq!(shown(51, "container", "start").unwrap(), old);
        assert!(!shown(51, "volume", "create").unwrap().contains("status"));
        assert!(!shown(51, "image", "tag").unwrap().contains("from"));
    }

    #[test]
    fn images_are_created_since_1_46() {
        assert_eq!(shown(45, "image", "create"), None);
        assert!(shown(46, "image", "create").is_some());
    }
}
