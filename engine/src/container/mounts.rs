//! What is mounted into a container: `--volumes-from`, `-v`, `--mount`, `--tmpfs` and the image's volumes, in Docker's
//! order of precedence.

use super::config::{Mount, MountKind, clean_path};
use super::mount_options::{PROPAGATIONS, invalid_mode, parse_bind, parse_mount, valid_mode};
use api_types::container::Config;
use api_types::host::HostConfig;
use api_types::mount;
use spec::Failure;
use std::collections::BTreeMap;

/// The mounts by destination, and what has to be done for them.
#[derive(Debug, Default)]
pub struct Mounts {
    /// By destination.
    pub by_destination: BTreeMap<String, Mount>,
    /// Bind sources that must exist, with the mount that asks.
    pub sources_to_check: Vec<String>,
    /// Volumes with what they are to be created with if they do not exist.
    pub volumes: Vec<WantedVolume>,
}

/// A named volume that a container uses; it is created if it does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedVolume {
    /// Its name.
    pub name: String,
    /// Its driver; `local` when empty.
    pub driver: String,
    /// Its driver's options.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether nobody gave it a name.
    pub anonymous: bool,
}

/// Resolves all mounts. `mounts_of` finds another container's by name; `fresh` makes a name for an anonymous volume.
pub fn resolve(
    config: &Config,
    host: &HostConfig,
    mounts_of: impl Fn(&str) -> Result<Vec<Mount>, Failure>,
    mut fresh: impl FnMut() -> String,
) -> Result<Mounts, Failure> {
    let mut mounts = Mounts::default();
    for from in &host.volumes_from {
        let (name, mode) = volumes_from(from)?;
        for mut mount in mounts_of(name)?.into_iter().filter(|mount| !mount.from_tmpfs_map) {
            mount.writable &= mode != "ro" && !mode.split(',').any(|word| word == "ro");
            (mount.copy_up, mount.anonymous) = (false, false);
            mounts.by_destination.insert(mount.destination.clone(), mount);
        }
    }
    let tmpfs: Vec<String> = host.tmpfs.keys().map(|path| clean_path(path)).collect();
    let mut taken: Vec<String> = Vec::new();
    for text in &host.binds {
        let (mut mount, driver) = parse_bind(text, &host.volume_driver)?;
        if taken.contains(&mount.destination) || tmpfs.contains(&mount.destination) {
            return Err(duplicate(&mount.destination));
        }
        taken.push(mount.destination.clone());
        if mount.kind == MountKind::Volume {
            let wanted = WantedVolume { driver, ..WantedVolume::default() };
            mounts.volume(&mut mount, wanted, &mut fresh);
        }
        mounts.by_destination.insert(mount.destination.clone(), mount);
    }
    for asked in &host.mounts {
        let mut mount = parse_mount(asked)?;
        if taken.contains(&mount.destination) {
            return Err(duplicate(&asked.target));
        }
        taken.push(mount.destination.clone());
        match mount.kind {
            MountKind::Volume => mounts.volume(&mut mount, wanted_volume(asked), &mut fresh),
            MountKind::Bind if !mount.create_source => {
                mounts.sources_to_check.push(mount.source.clone())
            }
            _ => {}
        }
        mounts.by_destination.insert(mount.destination.clone(), mount);
    }
    for (path, options) in &host.tmpfs {
        let mut mount = Mount::new(MountKind::Tmpfs, clean_path(path));
        mount.tmpfs_options.clone_from(options);
        mount.from_tmpfs_map = true;
        mounts.by_destination.insert(mount.destination.clone(), mount);
    }
    for path in config.volumes.keys() {
        let destination = clean_path(path);
        if !mounts.by_destination.contains_key(&destination) {
            let mut mount = Mount::new(MountKind::Volume, destination);
            mount.copy_up = true;
            mounts.volume(&mut mount, WantedVolume::default(), &mut fresh);
            mount.mode.clear();
            mounts.by_destination.insert(mount.destination.clone(), mount);
        }
    }
    Ok(mounts)
}

impl Mounts {
    fn volume(
        &mut self,
        mount: &mut Mount,
        mut wanted: WantedVolume,
        fresh: &mut impl FnMut() -> String,
    ) {
        if mount.name.is_empty() {
            mount.name = fresh();
            mount.anonymous = true;
            wanted.anonymous = true;
        }
        wanted.name.clone_from(&mount.name);
        if mount.mode.is_empty() {
            mount.mode = "z".into();
        }
        self.volumes.push(wanted);
    }
}

fn duplicate(destination: &str) -> Failure {
    Failure::invalid(format!("Duplicate mount point: {destination}"))
}

fn wanted_volume(asked: &mount::Mount) -> WantedVolume {
    let Some(options) = &asked.volume_options else { return WantedVolume::default() };
    let driver = options.driver_config.clone().unwrap_or_default();
    WantedVolume {
        name: String::new(),
        driver: driver.name,
        options: driver.options.into_inner(),
        labels: options.labels.clone().into_inner(),
        anonymous: false,
    }
}

fn volumes_from(text: &str) -> Result<(&str, &str), Failure> {
    if text.is_empty() {
        return Err(Failure::invalid("volumes-from specification cannot be an empty string"));
    }
    let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
    let words: Vec<&str> = mode.split(',').collect();
    let fixed = words.iter().any(|word| PROPAGATIONS.contains(word) || *word == "nocopy");
    if !valid_mode(mode) || fixed {
        return Err(invalid_mode(mode));
    }
    Ok((name, mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(host: &str, config: &str) -> Result<Mounts, Failure> {
        let mut number = 0;
        let other = |name: &str| {
            let mut mount = Mount::new(MountKind::Volume, "/shared".into());
            mount.name = format!("of-{name}");
            Ok(vec![mount])
        };
        let fresh = || {
            number += 1;
            format!("fresh{number}")
        };
        resolve(
            &serde_json::from_str(config).unwrap(),
            &serde_json::from_str(host).unwrap(),
            other,
            fresh,
        )
    }

    fn refusal(host: &str) -> String {
        resolved(host, "{}").unwrap_err().message
    }

    #[test]
    fn binds_are_paths_or_volumes_with_modes() {
        let host = r#"{"Binds":["/host/dir/:/a:ro,rslave","data:/b/","/c:nocopy:/d"],"VolumesFrom":["x:ro"]}"#;
        assert_eq!(refusal(host), "invalid mode: /d");
        let host =
            r#"{"Binds":["/host/dir/:/a:ro,rslave","data:/b/:nocopy"],"VolumesFrom":["x:ro"]}"#;
        let mounts = resolved(host, r#"{"Volumes":{"/b":{},"/image":{}}}"#).unwrap();
        let all: Vec<_> = mounts.by_destination.values().collect();
        assert_eq!(
            all.iter().map(|m| m.destination.as_str()).collect::<Vec<_>>(),
            ["/a", "/b", "/image", "/shared"]
        );
        assert_eq!(
            (all[0].source.as_str(), all[0].writable, all[0].propagation.as_str()),
            ("/host/dir", false, "rslave")
        );
        assert_eq!(
            (all[1].name.as_str(), all[1].copy_up, all[1].anonymous),
            ("data", false, false)
        );
        assert_eq!(
            (all[2].name.as_str(), all[2].copy_up, all[2].anonymous),
            ("fresh1", true, true)
        );
        assert_eq!((all[3].name.as_str(), all[3].writable), ("of-x", false));
        assert_eq!(mounts.volumes.len(), 2);
    }

    #[test]
    fn wrong_binds_are_refused_in_dockers_words() {
        assert_eq!(refusal(r#"{"Binds":["/a:ro"]}"#), "invalid volume specification: '/a:ro'");
        assert_eq!(refusal(r#"{"Binds":["a:b:c:d"]}"#), "invalid volume specification: 'a:b:c:d'");
        assert_eq!(
            refusal(r#"{"Binds":["data:rel"]}"#),
            "invalid volume specification: 'data:rel': invalid mount config for type \"volume\": invalid mount path: 'rel' mount path must be absolute"
        );
        assert_eq!(
            refusal(r#"{"Binds":["/x:/"]}"#),
            "invalid volume specification: '/x:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        );
        assert_eq!(refusal(r#"{"Binds":["/x:/a","y:/a/"]}"#), "Duplicate mount point: /a");
        assert_eq!(
            refusal(r#"{"Binds":["/x:/a"],"Tmpfs":{"/a":""}}"#),
            "Duplicate mount point: /a"
        );
    }

    #[test]
    fn wrong_mounts_are_refused_in_dockers_words() {
        for (mount, cause) in [
            (r#"{"Type":"bind","Target":"/a"}"#, "field Source must not be empty"),
            (
                r#"{"Type":"bind","Source":"x","Target":"/a"}"#,
                "invalid mount path: 'x' mount path must be absolute",
            ),
            (r#"{"Type":"bind","Source":"/x"}"#, "field Target must not be empty"),
            (
                r#"{"Type":"bind","Source":"/x","Target":"/a","VolumeOptions":{}}"#,
                "field VolumeOptions must not be specified",
            ),
            (
                r#"{"Type":"bind","Source":"/x","Target":"/a","BindOptions":{"Propagation":"odd"}}"#,
                "invalid propagation mode: odd",
            ),
            (
                r#"{"Type":"tmpfs","Source":"/x","Target":"/a"}"#,
                "field Source must not be specified",
            ),
            (
                r#"{"Type":"volume","Target":"/a","VolumeOptions":{"Subpath":"s"}}"#,
                "must not set Subpath when using anonymous volumes",
            ),
            (r#"{"Type":"odd","Target":"/a"}"#, "mount type unknown"),
        ] {
            let kind: serde_json::Value = serde_json::from_str(mount).unwrap();
            let expected = format!("invalid mount config for type {}: {cause}", kind["Type"]);
            assert_eq!(refusal(&format!("{{\"Mounts\":[{mount}]}}")), expected);
        }
    }

    #[test]
    fn mounts_carry_their_options() {
        let host = r#"{"Mounts":[
            {"Type":"bind","Source":"/x/","Target":"/a","ReadOnly":true,"BindOptions":{"NonRecursive":true}},
            {"Type":"volume","Target":"/v","VolumeOptions":{"Labels":{"k":"v"}}},
            {"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":511,"Options":[["exec"]]}}]}"#;
        let mounts = resolved(host, "{}").unwrap();
        assert_eq!(mounts.sources_to_check, ["/x"]);
        assert!(mounts.by_destination["/a"].non_recursive && !mounts.by_destination["/a"].writable);
        assert_eq!(mounts.by_destination["/t"].tmpfs_options, "mode=777,size=1048576,exec");
        assert_eq!(mounts.volumes[0].labels["k"], "v");
        assert!(mounts.by_destination["/v"].anonymous);
    }
}
