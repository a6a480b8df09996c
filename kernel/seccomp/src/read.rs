//! Reading a profile out of JSON by hand, so that a mistake is reported with its place: `syscalls[3].args[0].op`.
//!
//! Fields that are not known are passed over, as Docker does. Every list and word is bounded.

use crate::action::{Action, Condition, Operator};
use crate::arch::Arch;
use crate::filter::{Flag, Rule};
use crate::profile::{Profile, ProfileError, Scope, ScopedRule};
use serde_json::Value;

/// The longest list of any kind.
const MAX_LIST: usize = 4096;
/// The longest name of a call, an architecture, a capability.
const MAX_WORD: usize = 64;
/// The longest path or text for an agent.
const MAX_TEXT: usize = 4096;
/// The largest errno that the kernel passes on (`MAX_ERRNO`); a larger one would silently become this.
const MAX_ERRNO: u64 = 4095;

/// A JSON value and where it stands.
struct Place<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Place<'a> {
    fn error(&self, cause: impl Into<String>) -> ProfileError {
        ProfileError::Field { field: self.path.clone(), cause: cause.into() }
    }

    /// The field `name`; `None` when it is missing or null.
    fn field(&self, name: &str) -> Option<Place<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        let path =
            if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Some(Place { path, value })
    }

    fn object(self) -> Result<Self, ProfileError> {
        if self.value.is_object() { Ok(self) } else { Err(self.error("must be an object")) }
    }

    fn text(&self, longest: usize) -> Result<&'a str, ProfileError> {
        match self.value.as_str() {
            Some(text) if text.len() <= longest => Ok(text),
            Some(text) => {
                Err(self.error(format!("{} bytes, at most {longest} are read", text.len())))
            }
            None => Err(self.error("must be a string")),
        }
    }

    fn number(&self, largest: u64) -> Result<u64, ProfileError> {
        match self.value.as_u64() {
            Some(number) if number <= largest => Ok(number),
            _ => Err(self.error(format!("must be a number from 0 to {largest}"))),
        }
    }

    fn items(&self) -> Result<impl Iterator<Item = Place<'a>>, ProfileError> {
        let list = self.value.as_array().ok_or_else(|| self.error("must be a list"))?;
        if list.len() > MAX_LIST {
            return Err(self.error(format!("{} items, at most {MAX_LIST} are read", list.len())));
        }
        let path = self.path.clone();
        Ok(list
            .iter()
            .enumerate()
            .map(move |(at, value)| Place { path: format!("{path}[{at}]"), value }))
    }

    /// The items of the list `name`, each read by `read`; empty when there is no such list.
    fn list<T>(
        &self,
        name: &str,
        read: impl Fn(Place<'a>) -> Result<T, ProfileError>,
    ) -> Result<Vec<T>, ProfileError> {
        match self.field(name) {
            Some(list) => list.items()?.map(read).collect(),
            None => Ok(Vec::new()),
        }
    }

    fn words(&self, name: &str) -> Result<Vec<String>, ProfileError> {
        self.list(name, |place| Ok(place.text(MAX_WORD)?.to_owned()))
    }
}

/// Reads a whole profile.
pub(crate) fn profile(value: &Value) -> Result<Profile, ProfileError> {
    let top = Place { path: String::new(), value };
    if !value.is_object() {
        return Err(ProfileError::Syntax("the top must be an object".into()));
    }
    let read = Profile {
        default_action: default_action(&top)?,
        architectures: top.list("architectures", architecture)?,
        arch_map: top.list("archMap", mapped_architecture)?,
        flags: top.list("flags", flag)?,
        rules: top.list("syscalls", rule)?,
        listener_path: optional_text(&top, "listenerPath")?,
        listener_metadata: optional_text(&top, "listenerMetadata")?,
    };
    refuse_contradictions(&read)?;
    Ok(read)
}

fn refuse_contradictions(profile: &Profile) -> Result<(), ProfileError> {
    let error = |field: &str, cause: &str| {
        Err(ProfileError::Field { field: field.to_owned(), cause: cause.to_owned() })
    };
    if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
        return error("archMap", "cannot be used together with architectures");
    }
    if profile.default_action.is_none() && !profile.rules.is_empty() {
        return error("defaultAction", "is missing");
    }
    // The write that hands the notification descriptor to the agent would itself wait for the agent.
    if profile.default_action == Some(Action::Notify) {
        return error("defaultAction", "SCMP_ACT_NOTIFY cannot be the default action");
    }
    for (at, scoped) in profile.rules.iter().enumerate() {
        if scoped.rule.action == Action::Notify
            && scoped.rule.names.iter().any(|name| name == "write")
        {
            return error(&format!("syscalls[{at}]"), "SCMP_ACT_NOTIFY cannot be used for write");
        }
    }
    Ok(())
}

fn optional_text(top: &Place<'_>, name: &str) -> Result<Option<String>, ProfileError> {
    top.field(name).map(|place| place.text(MAX_TEXT).map(str::to_owned)).transpose()
}

fn errno(place: &Place<'_>, name: &str) -> Result<Option<u16>, ProfileError> {
    let Some(place) = place.field(name) else { return Ok(None) };
    let number = place.number(MAX_ERRNO)?;
    Ok(Some(u16::try_from(number).expect("at most 4095")))
}

fn action(place: &Place<'_>, errno: Option<u16>) -> Result<Action, ProfileError> {
    let name = place.text(MAX_WORD)?;
    Action::parse(name, errno).ok_or_else(|| place.error(format!("unknown action {name:?}")))
}

fn default_action(top: &Place<'_>) -> Result<Option<Action>, ProfileError> {
    let errno = errno(top, "defaultErrnoRet")?;
    let place = top.field("defaultAction").filter(|place| place.value.as_str() != Some(""));
    place.map(|place| action(&place, errno)).transpose()
}

fn architecture(place: Place<'_>) -> Result<Arch, ProfileError> {
    let name = place.text(MAX_WORD)?;
    Arch::parse(name).ok_or_else(|| place.error(format!("unknown architecture {name:?}")))
}

fn mapped_architecture(place: Place<'_>) -> Result<(Arch, Vec<Arch>), ProfileError> {
    let place = place.object()?;
    let arch = place.field("architecture").ok_or_else(|| place.error("architecture is missing"))?;
    Ok((architecture(arch)?, place.list("subArchitectures", architecture)?))
}

fn flag(place: Place<'_>) -> Result<Flag, ProfileError> {
    let name = place.text(MAX_WORD)?;
    Flag::parse(name).ok_or_else(|| place.error(format!("unknown flag {name:?}")))
}

fn rule(place: Place<'_>) -> Result<ScopedRule, ProfileError> {
    let place = place.object()?;
    let errno = errno(&place, "errnoRet")?;
    let act = place.field("action").ok_or_else(|| place.error("action is missing"))?;
    Ok(ScopedRule {
        rule: Rule {
            names: names(&place)?,
            action: action(&act, errno)?,
            conditions: place.list("args", condition)?,
        },
        includes: scope(&place, "includes")?,
        excludes: scope(&place, "excludes")?,
    })
}

/// The calls of a rule: `names`, or `name` in profiles from before Docker 1.13.
fn names(place: &Place<'_>) -> Result<Vec<String>, ProfileError> {
    let mut names = place.words("names")?;
    if let Some(name) = place.field("name").filter(|name| name.value.as_str() != Some("")) {
        if !names.is_empty() {
            return Err(name.error("cannot be used together with names"));
        }
        names.push(name.text(MAX_WORD)?.to_owned());
    }
    match names.iter().position(String::is_empty) {
        _ if names.is_empty() => Err(place.error("names is missing")),
        Some(at) => Err(place.error(format!("names[{at}] is empty"))),
        None => Ok(names),
    }
}

fn condition(place: Place<'_>) -> Result<Condition, ProfileError> {
    let place = place.object()?;
    let op = place.field("op").ok_or_else(|| place.error("op is missing"))?;
    let name = op.text(MAX_WORD)?;
    let operator =
        Operator::parse(name).ok_or_else(|| op.error(format!("unknown operator {name:?}")))?;
    let number = |name: &str, largest| match place.field(name) {
        Some(number) => number.number(largest),
        None => Ok(0),
    };
    let index = u8::try_from(number("index", 5)?).expect("at most 5");
    Ok(Condition {
        index,
        operator,
        value: number("value", u64::MAX)?,
        value_two: number("valueTwo", u64::MAX)?,
    })
}

fn scope(place: &Place<'_>, name: &str) -> Result<Scope, ProfileError> {
    let Some(place) = place.field(name) else { return Ok(Scope::default()) };
    let place = place.object()?;
    let min_kernel = place.field("minKernel").map(|place| kernel(&place)).transpose()?;
    Ok(Scope {
        capabilities: place.words("caps")?,
        architectures: place.words("arches")?,
        min_kernel,
    })
}

fn kernel(place: &Place<'_>) -> Result<(u32, u32), ProfileError> {
    let text = place.text(MAX_WORD)?;
    let parts = text
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match parts {
        Some(version) if version != (0, 0) => Ok(version),
        _ => Err(place.error(format!("{text:?} is not <kernel>.<major revision>"))),
    }
}
