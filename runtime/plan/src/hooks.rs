//! Programs of the host that are called at points of a container's life (config.md, POSIX-platform hooks).

use crate::text::{absolute, c_string};
use crate::{Given, PlanError};
use spec::oci::{Hook, Hooks};
use std::ffi::CString;
use std::time::Duration;

/// Hooks by their point, in the order in which they are called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HooksPlan {
    /// Outside, when the container is set up but its root not yet changed.
    pub prestart: Vec<HookPlan>,
    /// The same, after those.
    pub create_runtime: Vec<HookPlan>,
    /// In the container's namespaces, where the host's files still are, before its root changes.
    pub create_container: Vec<HookPlan>,
    /// In the container, with the rights of its process, before the program.
    pub start_container: Vec<HookPlan>,
    /// Outside, when the program runs: the caller's.
    pub poststart: Vec<HookPlan>,
    /// Outside, when the container is deleted: the caller's.
    pub poststop: Vec<HookPlan>,
}

impl HooksPlan {
    /// The hooks of an administrator's bundle alone, for who calls those after the start and after the end.
    pub fn of(hooks: Option<&Hooks>) -> Result<Self, PlanError> {
        plan(hooks, &Given { administrator: true, ..Given::default() })
    }

    /// Whether something outside is called before the root changes.
    pub fn before_root(&self) -> bool {
        !(self.prestart.is_empty() && self.create_runtime.is_empty())
    }

    /// Whether any hook is called by the launch itself.
    pub fn launch_calls(&self) -> bool {
        self.before_root() || !(self.create_container.is_empty() && self.start_container.is_empty())
    }
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookPlan {
    /// The program, absolute.
    pub path: CString,
    /// Its name and arguments; the path if nothing is said.
    pub argv: Vec<CString>,
    /// Its whole environment.
    pub env: Vec<CString>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// A plan of this many hooks at one point is a mistake.
const MOST: usize = 1024;

pub(crate) fn plan(hooks: Option<&Hooks>, given: &Given) -> Result<HooksPlan, PlanError> {
    let Some(hooks) = hooks else { return Ok(HooksPlan::default()) };
    let plan = HooksPlan {
        prestart: list("hooks.prestart", &hooks.prestart)?,
        create_runtime: list("hooks.createRuntime", &hooks.create_runtime)?,
        create_container: list("hooks.createContainer", &hooks.create_container)?,
        start_container: list("hooks.startContainer", &hooks.start_container)?,
        poststart: list("hooks.poststart", &hooks.poststart)?,
        poststop: list("hooks.poststop", &hooks.poststop)?,
    };
    if !given.administrator && plan != HooksPlan::default() {
        return Err(PlanError::unsupported("hooks", "no program is called on behalf of a bundle"));
    }
    Ok(plan)
}

fn list(field: &str, hooks: &[Hook]) -> Result<Vec<HookPlan>, PlanError> {
    if hooks.len() > MOST {
        let allowed = format!("at most {MOST} hooks");
        return Err(PlanError::value(field, format!("{} hooks", hooks.len()), allowed));
    }
    let one = |(index, hook)| one(&format!("{field}[{index}]"), hook);
    hooks.iter().enumerate().map(one).collect()
}

fn one(field: &str, hook: &Hook) -> Result<HookPlan, PlanError> {
    let path_field = format!("{field}.path");
    let path = c_string(&path_field, &absolute(&path_field, &hook.path)?)?;
    let strings = |name: &str, list: &[String]| -> Result<Vec<CString>, PlanError> {
        let text =
            |(index, text): (usize, &String)| c_string(&format!("{field}.{name}[{index}]"), text);
        list.iter().enumerate().map(text).collect()
    };
    let mut argv = strings("args", &hook.args)?;
    if argv.is_empty() {
        argv.push(path.clone());
    }
    for (index, entry) in hook.env.iter().enumerate() {
        if entry.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            return Err(PlanError::value(format!("{field}.env[{index}]"), entry, "NAME=value"));
        }
    }
    let timeout = match hook.timeout {
        None => None,
        Some(seconds) => match u32::try_from(seconds) {
            Ok(seconds @ 1..) => Some(Duration::from_secs(seconds.into())),
            _ => {
                let allowed = "1 to 4294967295 seconds";
                let field = format!("{field}.timeout");
                return Err(PlanError::value(field, seconds.to_string(), allowed));
            }
        },
    };
    Ok(HookPlan { path, argv, env: strings("env", &hook.env)?, timeout })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(hook: Hook, administrator: bool) -> String {
        let hooks = Hooks { create_runtime: vec![hook], ..Hooks::default() };
        let given = Given { administrator, ..Given::default() };
        plan(Some(&hooks), &given).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn hooks_are_the_administrators_only_and_each_field_is_checked() {
        let hook = || Hook { path: "/bin/true".to_owned(), ..Hook::default() };
        assert_eq!(sentence(hook(), true), "");
        assert_eq!(
            sentence(hook(), false),
            "unsupported hooks: no program is called on behalf of a bundle"
        );
        for (hook, wanted) in [
            (
                Hook { path: "true".to_owned(), ..Hook::default() },
                "invalid hooks.createRuntime[0].path \"true\": must be an absolute path",
            ),
            (
                Hook { timeout: Some(0), ..hook() },
                "invalid hooks.createRuntime[0].timeout \"0\": must be 1 to 4294967295 seconds",
            ),
            (
                Hook { env: vec!["x".to_owned()], ..hook() },
                "invalid hooks.createRuntime[0].env[0] \"x\": must be NAME=value",
            ),
        ] {
            assert_eq!(sentence(hook, true), wanted);
        }
    }
}
