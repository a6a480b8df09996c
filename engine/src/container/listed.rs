//! One line of a list of containers, made once for each state of a container and kept as the JSON that goes out.
//!
//! Only the text of the status changes while a container does not: `Up 3 seconds`. The JSON is therefore kept in two
//! parts, before and after that text.

use super::live::View;
use api_types::inspect::Summary;
use std::sync::{Arc, OnceLock};

/// What a [`View`] keeps of its line. A copy of a view is about to become another state, so it begins without.
#[derive(Debug, Default)]
pub(crate) struct Kept(OnceLock<Line>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The JSON of a [`Summary`] without its status.
#[derive(Debug)]
struct Line {
    head: Box<str>,
    tail: Box<str>,
    /// Whether it has fields that older versions of the API do not show.
    has_newer: bool,
}

impl Line {
    fn new(mut summary: Summary) -> Self {
        let has_newer = summary.health.is_some()
            || summary.image_manifest_descriptor.is_some()
            || !summary.host_config.annotations.is_empty();
        let json = |summary: &Summary| {
            serde_json::to_string(summary).expect("a summary has text for its keys")
        };
        summary.status = "0".to_owned();
        let zero = json(&summary);
        summary.status = "1".to_owned();
        let one = json(&summary);
        // They differ in the status only, so the first difference is where it is, whatever the labels say.
        let at = zero.bytes().zip(one.bytes()).take_while(|(a, b)| a == b).count();
        let (head, tail) = zero.split_at(at);
        Self { head: head.into(), tail: tail[1..].into(), has_newer }
    }
}

/// One container of a list.
#[derive(Debug)]
pub struct Listed {
    view: Arc<View>,
    status: String,
    /// What is shown instead of what the view keeps: with another image name, or sizes.
    own: Option<Box<Summary>>,
}

impl Listed {
    /// The line of a view with its status; `summary` makes what is kept when it is not yet.
    pub(crate) fn new(
        view: Arc<View>,
        status: String,
        summary: impl FnOnce(&View) -> Summary,
    ) -> Self {
        view.kept.0.get_or_init(|| Line::new(summary(&view)));
        Self { view, status, own: None }
    }

    fn line(&self) -> Option<&Line> {
        self.view.kept.0.get()
    }

    /// Changes what is shown, for this list only.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Summary)) {
        let mut summary = self.summary();
        change(&mut summary);
        self.own = Some(Box::new(summary));
    }

    /// The view that it shows.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Whether it has fields that only newer versions of the API show, so that its JSON is not that of every version.
    pub fn has_newer(&self) -> bool {
        self.line().is_some_and(|line| line.has_newer)
    }

    /// The value, in its newest form.
    pub fn summary(&self) -> Summary {
        if let Some(own) = &self.own {
            return Summary::clone(own);
        }
        let mut json = Vec::new();
        self.write(&mut json);
        serde_json::from_slice(&json).expect("a summary that was written can be read")
    }

    /// Bytes of its JSON, or somewhat more.
    pub fn size_hint(&self) -> usize {
        self.line().map_or(0, |line| line.head.len() + line.tail.len()) + self.status.len() + 16
    }

    /// Appends its JSON, in its newest form.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(own) = &self.own {
            serde_json::to_writer(out, own).expect("a vector takes all that is written");
        } else if let Some(line) = self.line() {
            out.extend_from_slice(line.head.as_bytes());
            // A status has no character that JSON escapes, but nothing here depends on that.
            let text = serde_json::to_string(&self.status).expect("text is JSON");
            out.extend_from_slice(&text.as_bytes()[1..text.len() - 1]);
            out.extend_from_slice(line.tail.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::Outcome;
    use super::super::state::State;
    use super::*;

    fn view() -> Arc<View> {
        let config = serde_json::json!({"id": "ab".repeat(32), "name": "web", "created": 0, "path": "sh", "args": [],
            "image": {"id": "", "layers": [], "platform": spec::Platform::host()}, "config": {}, "host": {},
            "endpoints": {}, "mounts": []});
        let config = Arc::new(serde_json::from_value(config).unwrap());
        Arc::new(View::idle(config, State::Running, Outcome::default()))
    }

    #[test]
    fn the_status_is_put_where_it_belongs_whatever_the_labels_are() {
        let mut summary = Summary { image: "\"Status\":\"\"".into(), ..Summary::default() };
        summary.labels.insert("Status".into(), "".into());
        let listed = Listed::new(view(), "Up 2 \"days\"".into(), |_| summary.clone());
        let expected = Summary { status: "Up 2 \"days\"".into(), ..summary };
        assert_eq!(listed.summary(), expected);
        let mut json = Vec::new();
        listed.write(&mut json);
        assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&expected).unwrap());
    }

    #[test]
    fn a_line_is_made_once_for_a_view_and_anew_for_its_copy() {
        let first = view();
        let line = |view: &Arc<View>, image: &str| {
            let summary = Summary { image: image.into(), ..Summary::default() };
            Listed::new(Arc::clone(view), String::new(), |_| summary).summary().image
        };
        assert_eq!(line(&first, "a"), "a");
        assert_eq!(line(&first, "b"), "a");
        assert_eq!(line(&Arc::new(View::clone(&first)), "b"), "b");
    }

    #[test]
    fn a_change_is_shown_and_not_kept() {
        let view = view();
        let mut listed = Listed::new(Arc::clone(&view), "Up".into(), |_| Summary::default());
        listed.change(|summary| summary.size_rw = 7);
        assert_eq!(listed.summary().size_rw, 7);
        let again = Listed::new(view, "Up".into(), |_| Summary::default());
        assert_eq!(again.summary().size_rw, 0);
    }
}
