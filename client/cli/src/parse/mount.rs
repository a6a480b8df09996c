//! `--mount key=value,...`.

use crate::arg::truth;
use crate::parse::{csv, size};
use api_types::List;
use api_types::host::DriverConfig;
use api_types::mount::{BindOptions, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
use std::path::Path;

/// Reads one `--mount`, or says in docker's words what is wrong with it.
pub(crate) fn parse(text: &str, here: &Path) -> Result<Mount, String> {
    let mut mount = Mount { kind: "volume".into(), ..Mount::default() };
    for field in csv::fields(text) {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
            None => (field.to_lowercase(), None),
        };
        let Some(value) = value.or_else(|| switch(&key)) else {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        };
        set(&mut mount, &key, &value, &field)?;
    }
    finish(mount, here)
}

/// The value of a key that may stand alone.
fn switch(key: &str) -> Option<String> {
    matches!(key, "readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive")
        .then(|| "true".to_owned())
}

fn set(mount: &mut Mount, key: &str, value: &str, field: &str) -> Result<(), String> {
    let yes = || truth(value).ok_or_else(|| format!("invalid value for {key}: {value}"));
    let text = value.to_owned();
    match key {
        "type" => mount.kind = value.to_lowercase(),
        "source" | "src" => mount.source = text,
        "target" | "dst" | "destination" => mount.target = text,
        "readonly" | "ro" => mount.read_only = yes()?,
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => bind(mount).propagation = value.to_lowercase(),
        "bind-nonrecursive" => bind(mount).non_recursive = yes()?,
        "bind-recursive" => recursive(mount, value)?,
        "volume-nocopy" => volume(mount).no_copy = yes()?,
        "volume-subpath" => volume(mount).subpath = text,
        "volume-label" => {
            let (name, label) = value.split_once('=').unwrap_or((value, ""));
            volume(mount).labels.insert(name.to_owned(), label.to_owned());
        }
        "volume-driver" => driver(mount).name = text,
        "volume-opt" => {
            let (name, option) = value.split_once('=').unwrap_or((value, ""));
            driver(mount).options.insert(name.to_owned(), option.to_owned());
        }
        "image-subpath" => {
            mount.image_options.get_or_insert_with(ImageOptions::default).subpath = text
        }
        "tmpfs-size" => {
            let bytes =
                size::bytes(value).map_err(|_| format!("invalid value for {key}: {value}"))?;
            mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default).size_bytes = bytes;
        }
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8)
                .map_err(|_| format!("invalid value for {key}: {value}"))?;
            mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default).mode = mode;
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_with(BindOptions::default)
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_with(VolumeOptions::default)
}

fn driver(mount: &mut Mount) -> &mut DriverConfig {
    volume(mount).driver_config.get_or_insert_with(DriverConfig::default)
}

fn recursive(mount: &mut Mount, value: &str) -> Result<(), String> {
    match value {
        "enabled" => {}
        "disabled" => bind(mount).non_recursive = true,
        "writable" => bind(mount).read_only_non_recursive = true,
        "readonly" => bind(mount).read_only_force_recursive = true,
        _ => {
            return Err(format!(
                "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn finish(mut mount: Mount, here: &Path) -> Result<Mount, String> {
    let misplaced = |name: &str, kind: &str| {
        Err(format!("cannot mix '{name}-*' options with mount type '{kind}'"))
    };
    if mount.target.is_empty() {
        return Err("target is required".into());
    }
    let kind = mount.kind.clone();
    if mount.volume_options.is_some() && kind != "volume" {
        return misplaced("volume", &kind);
    }
    if mount.bind_options.is_some() && kind != "bind" {
        return misplaced("bind", &kind);
    }
    if mount.tmpfs_options.is_some() && kind != "tmpfs" {
        return misplaced("tmpfs", &kind);
    }
    if mount.image_options.is_some() && kind != "image" {
        return misplaced("image", &kind);
    }
    if let Some(options) = &mount.bind_options {
        if options.read_only_non_recursive && !mount.read_only {
            return Err("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction".into());
        }
        if options.read_only_force_recursive
            && (!mount.read_only || options.propagation != "rprivate")
        {
            return Err("option 'bind-recursive=readonly' requires 'readonly' and 'bind-propagation=rprivate' to be specified in conjunction".into());
        }
    }
    // Docker's client sends an empty list of tmpfs options and of volume labels as nothing.
    if let Some(options) = &mut mount.tmpfs_options {
        options.options = List::default();
    }
    if kind == "bind"
        && !mount.source.is_empty()
        && !mount.source.starts_with('/')
        && mount.source.starts_with('.')
    {
        mount.source = crate::parse::volume::clean(&here.join(&mount.source));
    }
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Mount, String> {
        parse(text, Path::new("/w"))
    }

    #[test]
    fn a_bind_has_its_source_target_and_options() {
        let mount = read("type=bind,src=./s,dst=/d,readonly,bind-propagation=rslave").unwrap();
        assert_eq!(
            (mount.kind.as_str(), mount.source.as_str(), mount.target.as_str()),
            ("bind", "/w/s", "/d")
        );
        assert!(mount.read_only);
        assert_eq!(mount.bind_options.unwrap().propagation, "rslave");
    }

    #[test]
    fn options_of_another_type_are_refused() {
        assert_eq!(
            read("type=bind,dst=/d,tmpfs-size=1").unwrap_err(),
            "cannot mix 'tmpfs-*' options with mount type 'bind'"
        );
        assert_eq!(read("type=volume").unwrap_err(), "target is required");
        assert_eq!(read("x=1,dst=/d").unwrap_err(), "unexpected key 'x' in 'x=1'");
        assert_eq!(read("dst").unwrap_err(), "invalid field 'dst' must be a key=value pair");
    }
}
