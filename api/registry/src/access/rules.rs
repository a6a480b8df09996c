//! Rules: which users may do what with which repositories. Pure.

use super::Action;
use repositories::Name;

/// One rule; what no rule allows is denied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names of users; `*` is everybody who is known, `anonymous` everybody at all.
    pub users: Vec<String>,
    /// Repositories: a name, `name/*` for what lies below it, or `*`. `{user}` stands for the user's name.
    pub repositories: Vec<String>,
    /// What they may do.
    pub actions: Vec<Action>,
}

/// All rules.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    /// These rules; none let everybody who is known do everything.
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let everything = || Rule {
            users: vec!["*".to_owned()],
            repositories: vec!["*".to_owned()],
            actions: Action::ALL.to_vec(),
        };
        Self(if rules.is_empty() { vec![everything()] } else { rules })
    }

    pub(crate) fn allow(&self, user: Option<&str>, name: &Name, action: Action) -> bool {
        self.0.iter().any(|rule| {
            rule.is_for(user)
                && rule.actions.contains(&action)
                && rule.repositories.iter().any(|pattern| matches(pattern, user, name))
        })
    }

    /// Whether a user may see the names of all repositories: one who may read them all.
    pub(crate) fn lists(&self, user: Option<&str>) -> bool {
        self.0.iter().any(|rule| {
            rule.is_for(user)
                && rule.actions.contains(&Action::Pull)
                && rule.repositories.iter().any(|pattern| pattern == "*")
        })
    }
}

impl Rule {
    fn is_for(&self, user: Option<&str>) -> bool {
        self.users.iter().any(|one| match one.as_str() {
            "anonymous" => true,
            "*" => user.is_some(),
            one => user == Some(one),
        })
    }
}

fn matches(pattern: &str, user: Option<&str>, name: &Name) -> bool {
    let pattern = match user {
        Some(user) => pattern.replace("{user}", user),
        None if pattern.contains("{user}") => return false,
        None => pattern.to_owned(),
    };
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(prefix) if prefix.ends_with('/') => name.as_str().starts_with(prefix),
        _ => pattern == name.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(users: &[&str], repositories: &[&str], actions: &[Action]) -> Rule {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Rule { users: texts(users), repositories: texts(repositories), actions: actions.to_vec() }
    }

    #[test]
    fn what_no_rule_allows_is_denied() {
        use Action::{Delete, Pull, Push};
        let rules = Rules::new(vec![
            rule(&["anonymous"], &["public/*"], &[Pull]),
            rule(&["*"], &["home/{user}/*"], &[Pull, Push]),
            rule(&["root"], &["*"], &[Pull, Push, Delete]),
        ]);
        let table = [
            (None, "public/a", Pull, true),
            (None, "public/a", Push, false),
            (None, "public", Pull, false),
            (None, "publicity/a", Pull, false),
            (None, "home/{user}/a", Pull, false),
            (Some("ann"), "home/ann/a", Push, true),
            (Some("ann"), "home/ann/a", Delete, false),
            (Some("ann"), "home/bob/a", Pull, false),
            (Some("ann"), "public/a", Pull, true),
            (Some("root"), "home/bob/a", Delete, true),
        ];
        for (user, name, action, allowed) in table {
            // A name may not have braces, which is what the fifth line is about.
            let Ok(name) = Name::parse(name) else { continue };
            assert_eq!(rules.allow(user, &name, action), allowed, "{user:?} {name} {action:?}");
        }
        assert!(rules.lists(Some("root")) && !rules.lists(Some("ann")) && !rules.lists(None));
    }

    #[test]
    fn without_rules_everybody_who_is_known_may_do_everything() {
        let rules = Rules::new(Vec::new());
        let name = Name::parse("a").unwrap();
        assert!(rules.allow(Some("x"), &name, Action::Delete));
        assert!(!rules.allow(None, &name, Action::Pull));
    }
}
