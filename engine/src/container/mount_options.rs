//! One mount as a client writes it: `-v`, `--mount`, `--tmpfs`.

use super::config::{Mount, MountKind, clean_path};
use crate::spec::tmpfs;
use api_types::mount;
use spec::Failure;

/// The propagations of bind mounts.
pub(super) const PROPAGATIONS: [&str; 6] =
    ["private", "rprivate", "slave", "rslave", "shared", "rshared"];
const CONSISTENCIES: [&str; 4] = ["consistent", "cached", "delegated", "default"];

pub(super) fn invalid_mode(mode: &str) -> Failure {
    Failure::invalid(format!("invalid mode: {mode}"))
}

/// Whether a third part of `-v` has at most one word of each kind.
pub(super) fn valid_mode(mode: &str) -> bool {
    if mode.is_empty() {
        return true;
    }
    let mut seen = [0u8; 5];
    for word in mode.split(',') {
        let kind = match word {
            "rw" | "ro" => 0,
            "z" | "Z" => 1,
            "nocopy" => 2,
            word if PROPAGATIONS.contains(&word) => 3,
            word if CONSISTENCIES.contains(&word) => 4,
            _ => return false,
        };
        seen[kind] += 1;
    }
    seen.iter().all(|count| *count <= 1)
}

/// Reads `[SOURCE:]DESTINATION[:MODE]`, and gives the volume driver that goes with it.
pub(super) fn parse_bind(text: &str, volume_driver: &str) -> Result<(Mount, String), Failure> {
    let invalid = || Failure::invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let (source, target, mode) = match parts[..] {
        [target] if !target.is_empty() => ("", target, ""),
        [source, target] if !source.is_empty() && !valid_mode(target) => (source, target, ""),
        [source, target, mode] if !source.is_empty() => (source, target, mode),
        _ => return Err(invalid()),
    };
    if !valid_mode(mode) {
        return Err(invalid_mode(mode));
    }
    let kind = if source.starts_with('/') { MountKind::Bind } else { MountKind::Volume };
    let words: Vec<&str> = mode.split(',').collect();
    check_target(target).and_then(|()| check_words(kind, &words)).map_err(|cause| {
        let cause = format!("invalid mount config for type {:?}: {cause}", kind.word());
        Failure::invalid(format!("invalid volume specification: '{text}': {cause}"))
    })?;
    let mut mount = Mount::new(kind, clean_path(target));
    mount.mode = mode.to_owned();
    mount.writable = !words.contains(&"ro");
    if kind == MountKind::Bind {
        mount.source = clean_path(source);
        mount.create_source = true;
        let given = words.iter().find(|word| PROPAGATIONS.contains(word));
        mount.propagation = (*given.unwrap_or(&"rprivate")).to_owned();
    } else {
        mount.name = source.to_owned();
        mount.copy_up = !words.contains(&"nocopy");
    }
    Ok((mount, volume_driver.to_owned()))
}

/// Words of the third part of `-v` that are for the other kind of mount.
fn check_words(kind: MountKind, words: &[&str]) -> Result<(), String> {
    let field = match kind {
        MountKind::Bind if words.contains(&"nocopy") => "VolumeOptions",
        MountKind::Volume if words.iter().any(|word| PROPAGATIONS.contains(word)) => "BindOptions",
        _ => return Ok(()),
    };
    Err(format!("field {field} must not be specified"))
}

fn check_target(target: &str) -> Result<(), String> {
    if target.is_empty() {
        return Err("field Target must not be empty".into());
    }
    if clean_path(target) == "/" && target.starts_with('/') {
        return Err("invalid specification: destination can't be '/'".into());
    }
    absolute(target)
}

fn absolute(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        Ok(())
    } else {
        Err(format!("invalid mount path: '{path}' mount path must be absolute"))
    }
}

/// The text of a refusal that is about one entry of `Mounts`.
pub(super) fn mount_failure(kind: &str, cause: &str) -> Failure {
    Failure::invalid(format!("invalid mount config for type {kind:?}: {cause}"))
}

/// Checks one entry of `Mounts` and the path of `--tmpfs`.
pub(super) fn parse_mount(asked: &mount::Mount) -> Result<Mount, Failure> {
    parse_checked(asked).map_err(|cause| mount_failure(&asked.kind, &cause))
}

fn parse_checked(asked: &mount::Mount) -> Result<Mount, String> {
    let extra = |name: &str| Err(format!("field {name} must not be specified"));
    match asked.kind.as_str() {
        kind if kind != "bind" && asked.bind_options.is_some() => return extra("BindOptions"),
        kind if kind != "volume" && asked.volume_options.is_some() => {
            return extra("VolumeOptions");
        }
        kind if kind != "image" && asked.image_options.is_some() => return extra("ImageOptions"),
        kind if kind != "tmpfs" && asked.tmpfs_options.is_some() => return extra("TmpfsOptions"),
        _ => {}
    }
    check_target(&asked.target)?;
    let destination = clean_path(&asked.target);
    let mut mount = match asked.kind.as_str() {
        "bind" => parse_bind_mount(asked, destination)?,
        "volume" => parse_volume_mount(asked, destination)?,
        "tmpfs" => parse_tmpfs_mount(asked, destination)?,
        "image" => return Err("mounts of images are not supported by this engine".into()),
        _ => return Err("mount type unknown".into()),
    };
    mount.writable = !asked.read_only;
    Ok(mount)
}

fn parse_bind_mount(asked: &mount::Mount, destination: String) -> Result<Mount, String> {
    if asked.source.is_empty() {
        return Err("field Source must not be empty".into());
    }
    let options = asked.bind_options.clone().unwrap_or_default();
    if !options.propagation.is_empty() && !PROPAGATIONS.contains(&options.propagation.as_str()) {
        return Err(format!("invalid propagation mode: {}", options.propagation));
    }
    absolute(&asked.source)?;
    if options.read_only_non_recursive && options.read_only_force_recursive {
        return Err("mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive".into());
    }
    let mut mount = Mount::new(MountKind::Bind, destination);
    mount.source = clean_path(&asked.source);
    mount.propagation =
        if options.propagation.is_empty() { "rprivate".into() } else { options.propagation };
    mount.create_source = options.create_mountpoint;
    mount.non_recursive = options.non_recursive;
    mount.readonly_non_recursive = options.read_only_non_recursive;
    mount.readonly_force_recursive = options.read_only_force_recursive;
    Ok(mount)
}

fn parse_volume_mount(asked: &mount::Mount, destination: String) -> Result<Mount, String> {
    let options = asked.volume_options.clone().unwrap_or_default();
    if !options.subpath.is_empty() {
        if asked.source.is_empty() {
            return Err("must not set Subpath when using anonymous volumes".into());
        }
        return Err("the subpath of a volume is not supported by this engine".into());
    }
    let mut mount = Mount::new(MountKind::Volume, destination);
    mount.name.clone_from(&asked.source);
    mount.copy_up = !options.no_copy;
    Ok(mount)
}

fn parse_tmpfs_mount(asked: &mount::Mount, destination: String) -> Result<Mount, String> {
    if !asked.source.is_empty() {
        return Err("field Source must not be specified".into());
    }
    let options = asked.tmpfs_options.clone().unwrap_or_default();
    let mut words = Vec::new();
    if asked.read_only {
        words.push("ro".to_owned());
    }
    if options.mode != 0 {
        words.push(format!("mode={:o}", options.mode));
    }
    if options.size_bytes != 0 {
        words.push(format!("size={}", options.size_bytes));
    }
    for option in &options.options {
        match option.as_slice() {
            [word] if matches!(word.as_str(), "exec" | "noexec") => words.push(word.clone()),
            [word] | [word, _] => return Err(format!("invalid option: {word}")),
            _ => return Err("invalid option array length".into()),
        }
    }
    let mut mount = Mount::new(MountKind::Tmpfs, destination);
    mount.tmpfs_options = words.join(",");
    Ok(mount)
}

/// Checks a path and its options in `HostConfig.Tmpfs`.
pub(super) fn check_tmpfs(path: &str, options: &str) -> Result<(), Failure> {
    if path.starts_with('/') && clean_path(path) == "/" {
        return Err(Failure::invalid("invalid specification: destination can't be '/'"));
    }
    absolute(path).map_err(Failure::invalid)?;
    tmpfs::options(options).map(|_| ())
}
