//! What `user[:group]` means, judged by the bytes of an image's `/etc/passwd` and `/etc/group`.
//!
//! Pure functions with the results of runc and Docker. Lines that are no entries are skipped.

/// The largest id that a container can be given.
pub const LARGEST_ID: u32 = i32::MAX as u32;

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups from the group file, in its order.
    pub groups: Vec<u32>,
    /// The home directory; `/` if there is no entry.
    pub home: String,
    /// The login name, if there is an entry.
    pub name: Option<String>,
}

/// Why a user or group has no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// A name that the passwd file does not have.
    #[error("unable to find user {name}: no matching entries in passwd file")]
    NoUser {
        /// The name.
        name: String,
    },
    /// A name that the group file does not have.
    #[error("unable to find group {name}: no matching entries in group file")]
    NoGroup {
        /// The name.
        name: String,
    },
    /// A number that is too large.
    #[error("uids and gids must be in range 0-2147483647")]
    Range,
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Lines as text; such as are not UTF-8 are skipped.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    bytes.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok()).map(str::trim)
}

fn passwd_entries(bytes: &[u8]) -> impl Iterator<Item = PasswdEntry<'_>> {
    lines(bytes).filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = fields.nth(1).unwrap_or_default();
        Some(PasswdEntry { name, uid, gid, home })
    })
}

fn group_entries(bytes: &[u8]) -> impl Iterator<Item = GroupEntry<'_>> {
    lines(bytes).filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        let gid = fields.next()?.parse().ok()?;
        Some(GroupEntry { name, gid, members: fields.next().unwrap_or_default() })
    })
}

/// `Some(Ok)` for a number that may be an id, `Some(Err)` for one that may not, `None` for a name.
fn numeric(text: &str) -> Option<Result<u32, UserError>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = text.parse().ok().filter(|id| *id <= LARGEST_ID);
    Some(number.ok_or(UserError::Range))
}

/// Resolves `user`, `user:group`, `:group` or nothing (root). Names and numbers may be mixed; a number need not have
/// an entry. Supplementary groups are given only if no group is named.
pub fn resolve(text: &str, passwd: &[u8], group: &[u8]) -> Result<Identity, UserError> {
    let (user, group_name) = text.split_once(':').unwrap_or((text, ""));
    let user_number = numeric(user);
    let wanted_uid = if user.is_empty() { Some(0) } else { known(user_number.as_ref()) };
    let entry = passwd_entries(passwd)
        .find(|entry| (!user.is_empty() && entry.name == user) || Some(entry.uid) == wanted_uid);
    let mut identity = match entry {
        Some(entry) => Identity {
            uid: entry.uid,
            gid: entry.gid,
            groups: Vec::new(),
            home: if entry.home.is_empty() { "/" } else { entry.home }.to_owned(),
            name: Some(entry.name.to_owned()),
        },
        None => {
            let uid = match user_number {
                Some(number) => number?,
                None if user.is_empty() => 0,
                None => return Err(UserError::NoUser { name: user.to_owned() }),
            };
            Identity { uid, gid: 0, groups: Vec::new(), home: "/".to_owned(), name: None }
        }
    };
    if identity.uid > LARGEST_ID || identity.gid > LARGEST_ID {
        return Err(UserError::Range);
    }
    if !group_name.is_empty() {
        identity.gid = group_id(group_name, group)?;
    } else if let Some(name) = &identity.name {
        identity.groups = group_entries(group)
            .filter(|entry| entry.members.split(',').any(|member| member.trim() == name))
            .map(|entry| entry.gid)
            .collect();
    }
    Ok(identity)
}

fn known(number: Option<&Result<u32, UserError>>) -> Option<u32> {
    number.and_then(|number| number.as_ref().ok().copied())
}

/// The id of one group by name or number (`--group-add`, the part after `:`).
pub fn group_id(name: &str, group: &[u8]) -> Result<u32, UserError> {
    let number = numeric(name);
    let wanted = known(number.as_ref());
    let entry = group_entries(group).find(|entry| entry.name == name || Some(entry.gid) == wanted);
    match (entry, number) {
        (Some(entry), _) if entry.gid <= LARGEST_ID => Ok(entry.gid),
        (Some(_), _) => Err(UserError::Range),
        (None, Some(number)) => number,
        (None, None) => Err(UserError::NoGroup { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n# comment\nbroken:x\n\nnginx:x:101:102:n:/var/cache:/bin/false\n\xff:x:5:5::/:\nno:x::\n";
    const GROUP: &[u8] = b"root:x:0:root\nadm:x:4:root,nginx\nwww:x:102:\nweb:x:200:nginx, x\nhuge:x:4294967295:nginx2\n";

    fn ids(text: &str) -> Result<(u32, u32, Vec<u32>), UserError> {
        resolve(text, PASSWD, GROUP).map(|found| (found.uid, found.gid, found.groups))
    }

    #[test]
    fn users_and_groups_resolve_as_in_runc() {
        for (text, wanted) in [
            ("", (0, 0, vec![0, 4])),
            ("root", (0, 0, vec![0, 4])),
            ("nginx", (101, 102, vec![4, 200])),
            ("101", (101, 102, vec![4, 200])),
            ("nginx:adm", (101, 4, vec![])),
            ("nginx:55", (101, 55, vec![])),
            ("1234", (1234, 0, vec![])),
            ("1234:www", (1234, 102, vec![])),
            (":www", (0, 102, vec![])),
        ] {
            assert_eq!(ids(text).unwrap(), wanted, "{text}");
        }
        assert_eq!(resolve("nginx", PASSWD, GROUP).unwrap().home, "/var/cache");
        assert_eq!(resolve("77", b"", b"").unwrap().home, "/");
    }

    #[test]
    fn missing_names_and_large_numbers_have_their_own_sentences() {
        for (text, wanted) in [
            ("nobody", "unable to find user nobody: no matching entries in passwd file"),
            ("no", "unable to find user no: no matching entries in passwd file"),
            ("root:x", "unable to find group x: no matching entries in group file"),
            ("2147483648", "uids and gids must be in range 0-2147483647"),
            ("-1", "uids and gids must be in range 0-2147483647"),
            ("0:99999999999", "uids and gids must be in range 0-2147483647"),
            ("0:huge", "uids and gids must be in range 0-2147483647"),
        ] {
            assert_eq!(ids(text).unwrap_err().to_string(), wanted, "{text}");
        }
    }
}
