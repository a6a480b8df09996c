//! The option strings of a mount (config.md, Linux mount options).

use crate::PlanError;
use sys::mount::{Attr, Extent, Propagation};

/// What the options of one mount say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// `bind` or `rbind`.
    pub(crate) bind: Option<Extent>,
    /// Attributes of the mount itself.
    pub(crate) own: AttrChange,
    /// Attributes of the mount and all below it: `rro`, ...
    pub(crate) tree: AttrChange,
    /// The propagation and for what it is.
    pub(crate) propagation: Option<(Propagation, Extent)>,
    /// `idmap` or `ridmap`.
    pub(crate) idmap: Option<Extent>,
    /// `remount`: what lies at the target already is changed.
    pub(crate) remount: bool,
    /// `tmpcopyup`: a tmpfs starts with what is at its target.
    pub(crate) copy_up: bool,
    /// What is left for the file system: `size=64m`, `newinstance`.
    pub(crate) rest: Vec<String>,
}

/// Attributes that are set and cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttrChange {
    /// What the mount gets.
    pub set: Attr,
    /// What it loses.
    pub clear: Attr,
}

impl AttrChange {
    fn apply(&mut self, bits: Attr, on: bool) {
        let mask = if Attr::ATIME_MASK.contains(bits) { Attr::ATIME_MASK } else { bits };
        self.set = self.set.difference(mask);
        self.clear |= mask;
        if on {
            self.set |= bits;
            // The bits of one flag are not cleared when they are set; those of the access time must be.
            if mask != Attr::ATIME_MASK {
                self.clear = self.clear.difference(bits);
            }
        }
    }
}

/// The attribute that `name` changes, and whether it sets it.
fn attribute(name: &str) -> Option<(Attr, bool)> {
    Some(match name {
        "ro" => (Attr::RDONLY, true),
        "rw" => (Attr::RDONLY, false),
        "nosuid" => (Attr::NOSUID, true),
        "suid" => (Attr::NOSUID, false),
        "nodev" => (Attr::NODEV, true),
        "dev" => (Attr::NODEV, false),
        "noexec" => (Attr::NOEXEC, true),
        "exec" => (Attr::NOEXEC, false),
        "noatime" => (Attr::NOATIME, true),
        "strictatime" => (Attr::STRICTATIME, true),
        // Relative access times are the absence of the other two.
        "atime" | "relatime" | "norelatime" | "nostrictatime" => (Attr::ATIME_MASK, false),
        "nodiratime" => (Attr::NODIRATIME, true),
        "diratime" => (Attr::NODIRATIME, false),
        "nosymfollow" => (Attr::NOSYMFOLLOW, true),
        "symfollow" => (Attr::NOSYMFOLLOW, false),
        _ => return None,
    })
}

fn propagation(name: &str) -> Option<(Propagation, Extent)> {
    let kind = |name| match name {
        "private" => Some(Propagation::Private),
        "shared" => Some(Propagation::Shared),
        "slave" => Some(Propagation::Slave),
        "unbindable" => Some(Propagation::Unbindable),
        _ => None,
    };
    match kind(name) {
        Some(found) => Some((found, Extent::Mount)),
        None => kind(name.strip_prefix('r')?).map(|found| (found, Extent::Tree)),
    }
}

/// The propagation that the specification's `rootfsPropagation` names.
pub(crate) fn root_propagation(name: &str) -> Result<Option<Propagation>, PlanError> {
    match name {
        "" => Ok(None),
        name => propagation(name).map(|(kind, _)| Some(kind)).ok_or_else(|| {
            let allowed = "private, slave, shared or unbindable";
            PlanError::value("linux.rootfsPropagation", name, allowed)
        }),
    }
}

pub(crate) fn parse(field: &str, list: &[String]) -> Result<Options, PlanError> {
    let mut options = Options {
        bind: None,
        own: AttrChange::default(),
        tree: AttrChange::default(),
        propagation: None,
        idmap: None,
        remount: false,
        copy_up: false,
        rest: Vec::new(),
    };
    for option in list {
        match option.as_str() {
            "" | "defaults" | "silent" | "loud" => {}
            "bind" => options.bind = options.bind.or(Some(Extent::Mount)),
            "rbind" => options.bind = Some(Extent::Tree),
            "idmap" => options.idmap = Some(Extent::Mount),
            "ridmap" => options.idmap = Some(Extent::Tree),
            "remount" => options.remount = true,
            "tmpcopyup" => options.copy_up = true,
            "copy-symlink" => {
                return Err(PlanError::unsupported(field, format!("option {option:?}")));
            }
            text => {
                if let Some(found) = propagation(text) {
                    options.propagation = Some(found);
                } else if let Some((bits, on)) = attribute(text) {
                    options.own.apply(bits, on);
                } else if let Some((bits, on)) = text.strip_prefix('r').and_then(attribute) {
                    options.tree.apply(bits, on);
                } else {
                    options.rest.push(option.clone());
                }
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        let list: Vec<_> = text.split(',').map(str::to_owned).collect();
        parse("f", &list).unwrap()
    }

    #[test]
    fn flags_propagation_and_data_are_told_apart() {
        let found = options("rbind,ro,nosuid,rslave,size=64m,mode=1777,newinstance");
        assert_eq!(found.bind, Some(Extent::Tree));
        assert_eq!(found.own.set, Attr::RDONLY | Attr::NOSUID);
        assert_eq!(found.propagation, Some((Propagation::Slave, Extent::Tree)));
        assert_eq!(found.rest, ["size=64m", "mode=1777", "newinstance"]);
        assert_eq!(options("rro,rnoexec").tree.set, Attr::RDONLY | Attr::NOEXEC);
        assert_eq!(options("relatime").own.clear, Attr::ATIME_MASK);
    }

    #[test]
    fn the_last_of_two_contrary_options_wins() {
        assert_eq!(options("ro,rw").own, AttrChange { set: Attr::empty(), clear: Attr::RDONLY });
        assert_eq!(options("rw,ro").own, AttrChange { set: Attr::RDONLY, clear: Attr::empty() });
        let noatime = AttrChange { set: Attr::NOATIME, clear: Attr::ATIME_MASK };
        assert_eq!(options("strictatime,noatime").own, noatime);
    }
}
