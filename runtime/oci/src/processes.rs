//! The processes of a container, as numbers and as the host's `ps` shows them.

use crate::pause::existing;
use crate::runtime::Runtime;
use crate::{Error, Id, Status};
use std::process::{Command, Stdio};

impl Runtime {
    /// The numbers of all processes.
    pub fn pids(&self, id: &Id) -> Result<Vec<i32>, Error> {
        let container = self.container(id)?;
        match container.status()? {
            // What the first process left behind; its group may be gone.
            Status::Stopped => {
                Ok(container.group()?.map_or(Ok(Vec::new()), |group| group.pids())?)
            }
            _ => Ok(existing(container.group()?)?.pids()?),
        }
    }

    /// What `ps` says about them with these options; `-ef` if there are none.
    pub fn ps(&self, id: &Id, options: &[String]) -> Result<String, Error> {
        let pids = self.pids(id)?;
        let failed = |cause: String| Error::Program { program: "ps".to_owned(), cause };
        let default = ["-ef".to_owned()];
        let options = if options.is_empty() { &default[..] } else { options };
        let output = Command::new("ps")
            .args(options)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(failed(text.lines().next().unwrap_or("it failed").to_owned()));
        }
        select(&String::from_utf8_lossy(&output.stdout), &pids).map_err(failed)
    }
}

/// The title and the lines whose column PID is one of `pids`.
fn select(output: &str, pids: &[i32]) -> Result<String, String> {
    let mut lines = output.lines();
    let title = lines.next().unwrap_or_default();
    let column = title
        .split_ascii_whitespace()
        .position(|name| name == "PID")
        .ok_or("couldn't find PID field in ps output")?;
    let mut selected = format!("{title}\n");
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let field = line.split_ascii_whitespace().nth(column).unwrap_or_default();
        let pid: i32 =
            field.parse().map_err(|_| format!("unexpected pid {field:?} in its output"))?;
        if pids.contains(&pid) {
            selected.push_str(line);
            selected.push('\n');
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_container_are_kept() {
        let output = "USER  PID CMD\nroot  1 init\nroot  5 sh -c 1\n\n";
        assert_eq!(select(output, &[5]).unwrap(), "USER  PID CMD\nroot  5 sh -c 1\n");
        assert!(select("USER CMD\n", &[5]).is_err());
        assert!(select("PID CMD\nabc x\n", &[5]).is_err());
    }
}
