//! Names: the unit of a container, its slice, and where in the hierarchies they are.

use crate::error::SystemdError;

/// The longest name of a unit (systemd.unit(5)).
const MAX_NAME: usize = 255;

/// A scope, or a slice that a caller makes for others, and the slice in which it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    name: String,
    slice: String,
}

impl Unit {
    /// The unit for a container by its `cgroupsPath`: `slice:prefix:name` is the scope `prefix-name.scope` in `slice`, and
    /// a name that ends in `.slice` is a unit of its own. Without a path the scope is `coffer-<id>.scope`. An empty slice
    /// is `system.slice`, or `user.slice` for a user's own manager.
    pub fn new(cgroups_path: Option<&str>, id: &str, user: bool) -> Result<Self, SystemdError> {
        let path = cgroups_path.unwrap_or_default();
        let (slice, prefix, name) = if path.is_empty() {
            ("", "coffer", id)
        } else {
            let mut parts = path.split(':');
            match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(slice), Some(prefix), Some(name), None) => (slice, prefix, name),
                _ => return Err(SystemdError::Path(cut(path))),
            }
        };
        let slice = match slice {
            "" if user => "user.slice",
            "" => "system.slice",
            other => other,
        };
        let name = match name {
            name if name.ends_with(".slice") => name.to_owned(),
            name if prefix.is_empty() => format!("{name}.scope"),
            name => format!("{prefix}-{name}.scope"),
        };
        let unit = Self { name, slice: slice.to_owned() };
        expand(&unit.slice)?;
        if !is_unit_name(&unit.name) {
            return Err(SystemdError::Name { what: "unit", name: cut(&unit.name) });
        }
        unit.path()?;
        Ok(unit)
    }

    /// The name of the unit.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the slice.
    pub fn slice(&self) -> &str {
        &self.slice
    }

    /// Whether the unit is itself a slice.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }

    /// The object that the manager has for the unit: every byte that is no letter or digit as `_2d`.
    pub fn object(&self) -> String {
        let mut path = String::from("/org/freedesktop/systemd1/unit/");
        for (at, byte) in self.name.bytes().enumerate() {
            if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("_{byte:02x}"));
            }
        }
        path
    }

    /// Where the unit's group is below the manager's own: slices lie in those of which they have the beginning of the
    /// name, `a-b.slice` in `a.slice`.
    pub fn path(&self) -> Result<String, SystemdError> {
        let above = if self.is_slice() { expand(&self.name)? } else { expand(&self.slice)? };
        Ok(if self.is_slice() { above } else { format!("{above}/{}", self.name) })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Characters of systemd.unit(5).
fn is_unit_name(name: &str) -> bool {
    let good = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'.' | b'\\' | b'-' | b'@')
    };
    let stem = name.rsplit_once('.').map_or("", |(stem, _)| stem);
    !stem.is_empty() && !name.starts_with('.') && name.len() <= MAX_NAME && name.bytes().all(good)
}

/// `a-b.slice` as `/a.slice/a-b.slice`; `-.slice` is the top.
fn expand(slice: &str) -> Result<String, SystemdError> {
    let invalid = || SystemdError::Name { what: "slice", name: cut(slice) };
    let stem = slice.strip_suffix(".slice").ok_or_else(invalid)?;
    if stem == "-" {
        return Ok(String::new());
    }
    if !is_unit_name(slice) || stem.split('-').any(str::is_empty) {
        return Err(invalid());
    }
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    Ok(ends.map(|end| format!("/{}.slice", &stem[..end])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_scope_in_a_slice() {
        let cases = [
            (
                Some("system.slice:docker:1234"),
                "docker-1234.scope",
                "/system.slice/docker-1234.scope",
            ),
            (Some(":runc:a"), "runc-a.scope", "/system.slice/runc-a.scope"),
            (Some("a-b-c.slice::x"), "x.scope", "/a.slice/a-b.slice/a-b-c.slice/x.scope"),
            (Some("-.slice:p:x"), "p-x.scope", "/p-x.scope"),
            (Some("a.slice:p:a-b.slice"), "a-b.slice", "/a.slice/a-b.slice"),
            (None, "coffer-box.scope", "/system.slice/coffer-box.scope"),
        ];
        for (path, name, group) in cases {
            let unit = Unit::new(path, "box", false).unwrap();
            assert_eq!((unit.name(), unit.path().unwrap().as_str()), (name, group), "{path:?}");
        }
        assert_eq!(Unit::new(Some(":p:x"), "box", true).unwrap().slice(), "user.slice");
    }

    #[test]
    fn a_path_of_another_form_is_refused() {
        let cases = [
            (
                "/a/b",
                "invalid linux.cgroupsPath \"/a/b\": must be slice:prefix:name with the systemd cgroup driver",
            ),
            (
                "a.slice:p:x:y",
                "invalid linux.cgroupsPath \"a.slice:p:x:y\": must be slice:prefix:name with the systemd cgroup driver",
            ),
            (
                "a--b.slice:p:x",
                "invalid linux.cgroupsPath: \"a--b.slice\" is not the name of a slice",
            ),
            (
                "a/b.slice:p:x",
                "invalid linux.cgroupsPath: \"a/b.slice\" is not the name of a slice",
            ),
            ("system:p:x", "invalid linux.cgroupsPath: \"system\" is not the name of a slice"),
            (
                "a.slice:p:-b.slice",
                "invalid linux.cgroupsPath: \"-b.slice\" is not the name of a slice",
            ),
            (".slice:p:x", "invalid linux.cgroupsPath: \".slice\" is not the name of a slice"),
            (
                "a.slice:p:-b.slice",
                "invalid linux.cgroupsPath: \"-b.slice\" is not the name of a slice",
            ),
            (
                "a.slice:p:../x",
                "invalid linux.cgroupsPath: \"p-../x.scope\" is not the name of a unit",
            ),
        ];
        for (path, message) in cases {
            assert_eq!(Unit::new(Some(path), "box", false).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_object_of_a_unit_has_no_odd_bytes() {
        let unit = Unit::new(Some("a.slice:4p:x_1"), "", false).unwrap();
        assert_eq!(unit.object(), "/org/freedesktop/systemd1/unit/_34p_2dx_5f1_2escope");
    }
}
