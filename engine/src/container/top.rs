//! `docker top`: what the host's `ps` says about a container's processes.

use super::act::restarting;
use super::actor::tell;
use super::state::State;
use crate::open::Engine;
use api_types::container::TopReply;
use spec::Failure;

impl Engine {
    /// The processes of a container that runs; `ps_args` are `ps`'s own arguments, `-ef` when empty.
    pub async fn top(&self, name: &str, ps_args: &str) -> Result<TopReply, Failure> {
        let handle = self.0.containers.find(name)?;
        let view = handle.view();
        if view.state == State::Restarting {
            return Err(restarting(handle.id.as_str()));
        }
        if !view.state.has_process() {
            return Err(Failure::conflict(format!("Container {} is not running", handle.id)));
        }
        let arguments = arguments(ps_args)?;
        let output = self.0.workers.ps(handle.id.clone(), arguments).await?;
        let reply = parse(&output)?;
        tell(&self.0, &view.config, "top", &[]);
        Ok(reply)
    }
}

/// The words of the arguments; one that renames a column to something with PID is refused, as Docker does.
fn arguments(text: &str) -> Result<Vec<String>, Failure> {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    for word in &words {
        if let Some((column, title)) = word.split_once('=')
            && title.starts_with("PID")
            && column != "pid"
        {
            return Err(Failure::internal(format!(
                "specifying \"{column}={title}\" is not allowed"
            )));
        }
    }
    Ok(words)
}

/// Cuts `ps`'s table into fields; the last column takes the rest of its line.
fn parse(output: &str) -> Result<TopReply, Failure> {
    let mut lines = output.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if !titles.iter().any(|title| title == "PID") {
        return Err(Failure::internal("Couldn't find PID field in ps output"));
    }
    let fields = |line: &str| {
        let mut fields: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if fields.len() > titles.len() {
            let rest = fields.split_off(titles.len() - 1);
            fields.push(rest.join(" "));
        }
        fields
    };
    let processes = lines.filter(|line| !line.trim().is_empty()).map(fields).collect();
    Ok(TopReply { processes, titles })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_takes_the_rest_of_the_line() {
        let reply = parse("UID  PID CMD\nroot 12 sleep  1 2\n\n").unwrap();
        assert_eq!(reply.titles, ["UID", "PID", "CMD"]);
        assert_eq!(reply.processes, [["root", "12", "sleep 1 2"]]);
    }

    #[test]
    fn output_without_a_pid_column_is_refused() {
        assert_eq!(parse("UID CMD\n").unwrap_err().message, "Couldn't find PID field in ps output");
        assert!(arguments("-o ppid=PID").is_err());
        assert_eq!(arguments("-eo pid,args").unwrap(), ["-eo", "pid,args"]);
    }
}
