//! Images as older versions show them.

use super::{add, inside, object};
use crate::http::reply::{self, Reply};
use crate::version::Version;
use api_types::image::{Inspect, Summary};
use serde_json::{Value, json};
use spec::Failure;

/// A list.
pub(crate) fn summaries(version: Version, mut images: Vec<Summary>) -> Result<Reply, Failure> {
    for image in &mut images {
        if version.before(43) && image.repo_tags.is_empty() && image.repo_digests.is_empty() {
            image.repo_tags.push("<none>:<none>".into());
            image.repo_digests.push("<none>@<none>".into());
        }
        if version.before(48) {
            image.descriptor = None;
        }
        if version.before(51) {
            image.containers = -1;
        }
    }
    if version.before(44) {
        Ok(reply::ok(&with_virtual_size(&images)?))
    } else {
        Ok(reply::ok(&images))
    }
}

/// Until 1.43 there is a second size, which has long been the same.
pub(super) fn with_virtual_size(images: &[Summary]) -> Result<Vec<Value>, Failure> {
    let one = |image: &Summary| {
        let mut entries = object(image)?;
        add(&mut entries, json!({ "VirtualSize": image.size }));
        Ok(Value::Object(entries))
    };
    images.iter().map(one).collect()
}

/// An inspection.
pub(crate) fn inspect(version: Version, mut image: Inspect) -> Result<Reply, Failure> {
    if !version.before(52) {
        return Ok(reply::ok(&image));
    }
    if version.before(48) {
        image.descriptor = None;
    }
    let size = image.size;
    let mut entries = object(&image)?;
    add(&mut entries, json!({ "Parent": "", "Comment": "", "DockerVersion": "", "Author": "" }));
    if let Some(config) = inside(&mut entries, "Config") {
        let always = json!({
            "Cmd": null, "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null, "User": "",
            "Volumes": null, "WorkingDir": "",
        });
        add(config, always);
        if version.before(50) {
            add(config, container_only());
        }
    }
    if version.before(45) {
        let mut config = json!({
            "Cmd": null, "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null, "User": "",
            "Volumes": null, "WorkingDir": "",
        });
        if let Some(config) = config.as_object_mut() {
            add(config, container_only());
        }
        add(&mut entries, json!({ "Container": "", "ContainerConfig": config }));
    }
    if version.before(44) {
        add(&mut entries, json!({ "VirtualSize": size, "Created": api_types::time::ZERO }));
    }
    Ok(reply::ok(&entries))
}

/// Keys that only mean something for a container, but were shown of images until 1.49.
fn container_only() -> Value {
    json!({
        "AttachStderr": false, "AttachStdin": false, "AttachStdout": false, "Domainname": "", "Hostname": "",
        "Image": "", "OpenStdin": false, "StdinOnce": false, "Tty": false,
    })
}
