//! A user without rights.

use crate::rig::{Rig, said};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A user that is not root, whether or not the machine has a name for it.
const USER: u32 = 65_534;

fn as_user(rig: &Rig, arguments: &[&str]) -> crate::rig::Said {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
    command.arg(e2e::program("coffer-runtime")).arg("--root").arg(rig.path("user")).args(arguments);
    command.stdin(std::process::Stdio::null());
    said(command)
}

#[test]
fn a_user_without_rights_runs_a_bundle_in_a_user_namespace() {
    let rig = Rig::new(&["sh", "-c", "id -u; cat /proc/self/uid_map; exit 4"]);
    let bundle = rig.path("bundle");
    std::fs::set_permissions(rig.path("."), PermissionsExt::from_mode(0o755)).unwrap();
    let chown = |path: &std::path::Path| {
        let status =
            Command::new("chown").args(["-R", &format!("{USER}:{USER}")]).arg(path).status();
        assert!(status.unwrap().success());
    };
    std::fs::remove_file(bundle.join("config.json")).unwrap();
    std::fs::create_dir(rig.path("user")).unwrap();
    chown(&bundle);
    chown(&rig.path("user"));
    let path = rig.text("bundle");
    as_user(&rig, &["spec", "--rootless", "--bundle", &path]).text();
    rig.change(|spec| {
        spec["process"]["terminal"] = json!(false);
        spec["process"]["rlimits"] = json!([]);
        spec["process"]["args"] = json!(["sh", "-c", "id -u; cat /proc/self/uid_map; exit 4"]);
    });
    let said = as_user(&rig, &["run", "--bundle", &path, "rootless"]);
    assert_eq!(said.code, 4, "{}", said.err);
    let words: Vec<&str> = said.out.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &USER.to_string(), "1"]);
    assert_eq!(as_user(&rig, &["list", "-q"]).text(), "");
    rig.change(|spec| spec["process"]["args"] = json!(["sleep", "1000"]));
    as_user(&rig, &["create", "--bundle", &path, "rootless"]).text();
    as_user(&rig, &["start", "rootless"]).text();
    assert_eq!(as_user(&rig, &["exec", "rootless", "sh", "-c", "exit 6"]).code, 6);
    as_user(&rig, &["delete", "--force", "rootless"]).text();
    assert_eq!(as_user(&rig, &["list", "-q"]).text(), "");
}
