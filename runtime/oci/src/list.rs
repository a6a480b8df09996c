//! All containers.

use crate::runtime::{Container, Runtime};
use crate::{Error, State};

impl Runtime {
    /// The states of all containers, by name. One that disappears meanwhile is left out, and so is one whose record cannot
    /// be read, with a warning.
    pub fn list(&self) -> Result<Vec<State>, Error> {
        let mut states = Vec::new();
        for id in self.root.ids()? {
            match self.container(&id).and_then(|container| owned(&container)) {
                Ok(state) => states.push(state),
                Err(Error::NotFound) => {}
                Err(error) => self.warn(&format!("{id}: {}", error.sentence())),
            }
        }
        Ok(states)
    }
}

fn owned(container: &Container) -> Result<State, Error> {
    let mut state = container.state()?;
    state.owner = user_name(container.entry.owner());
    Ok(state)
}

/// The name of a user of the host, or `#` and the number.
fn user_name(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("#{uid}"))
}

/// The table that `list` shows, with columns as runc's.
pub fn table(states: &[State]) -> String {
    let title = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let mut rows = vec![title];
    rows.extend(states.iter().map(|state| {
        [
            state.id.clone(),
            state.pid.to_string(),
            state.status.to_string(),
            state.bundle.display().to_string(),
            state.created.clone(),
            state.owner.clone(),
        ]
    }));
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let widest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let width = match column {
                5 => 0,
                _ => (widest + 3).max(12),
            };
            text.push_str(&format!("{cell:width$}"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_and_never_narrow() {
        let state = State {
            oci_version: "1.3.0".to_owned(),
            id: "a-long-name-1".to_owned(),
            pid: 7,
            status: Status::Running,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: "2026-01-02T03:04:05Z".to_owned(),
            annotations: Default::default(),
            owner: "root".to_owned(),
        };
        assert_eq!(
            table(&[state]),
            "ID              PID         STATUS      BUNDLE      CREATED                OWNER\n\
             a-long-name-1   7           running     /b          2026-01-02T03:04:05Z   root\n"
        );
        assert_eq!(
            table(&[]),
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
        );
    }
}
