//! The table.

use super::Times;

/// What a figure should be at most (docs/ARCHITECTURE.md, budgets).
enum Budget {
    /// A ratio to the reference.
    Ratio(f64),
    /// A figure of its own: a median in the unit of the line.
    Absolute(f64),
}

const BUDGETS: [(&str, Budget); 13] = [
    ("bridge: create + start + wait + delete", Budget::Ratio(1.0 / 12.0)),
    ("bridge: engine cpu of these", Budget::Ratio(1.0 / 15.0)),
    ("client: run --rm, bridge", Budget::Ratio(1.0 / 10.0)),
    ("exec: create + start + inspect", Budget::Ratio(1.0 / 6.0)),
    ("20 parallel create + start, bridge", Budget::Ratio(1.0 / 8.0)),
    ("shim of a container: private KiB", Budget::Absolute(300.0)),
    ("daemon: idle after its start: PSS in KiB", Budget::Absolute(15_360.0)),
    ("daemon: start to first answer", Budget::Absolute(30.0)),
    ("daemon: start on an empty data root to first answer", Budget::Absolute(30.0)),
    ("list of 1000", Budget::Absolute(5.0)),
    ("1000000 lines: written", Budget::Absolute(700.0)),
    ("1000000 lines: engine cpu of writing", Budget::Absolute(500.0)),
    ("1000000 lines: read back", Budget::Absolute(350.0)),
];

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn minimum(values: &[f64]) -> f64 {
    sorted(values).first().copied().unwrap_or(0.0)
}

/// Prints all figures.
pub(crate) fn print(results: &[Times]) {
    let Some(ours) = results.first() else { return };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    println!(
        "{:52}{:>10}{:>10}{:>11}{:>8}{:>10}",
        "median ms", "this", "minimum", "reference", "ratio", "budget"
    );
    for (name, values) in ours {
        println!("{}", line(name, values, results.get(1).and_then(|times| times.get(name))));
    }
}

fn line(name: &str, values: &[f64], reference: Option<&Vec<f64>>) -> String {
    let own = median(values);
    let ratio = reference.map(|theirs| own / median(theirs));
    let mut line = format!("{name:52}{own:>10.2}{:>10.2}", minimum(values));
    line += &match (reference, ratio) {
        (Some(theirs), Some(ratio)) => format!("{:>11.2}{ratio:>8.3}", median(theirs)),
        _ => format!("{:>19}", ""),
    };
    let budget = BUDGETS.iter().find(|(of, _)| *of == name).map(|(_, budget)| budget);
    let (most, figure) = match (budget, ratio) {
        (Some(Budget::Ratio(most)), Some(ratio)) => (*most, ratio),
        (Some(Budget::Absolute(most)), _) => (*most, own),
        _ => return line,
    };
    line + &format!("{most:>10.3}{}", if figure <= most { "" } else { "  over" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_over_its_budget_is_marked() {
        let name = "exec: create + start + inspect";
        assert!(line(name, &[2.0, 9.0, 1.0], Some(&vec![10.0])).ends_with("0.167  over"));
        assert!(line(name, &[1.0], Some(&vec![10.0])).ends_with("0.167"));
        assert!(line("list of 1000", &[5.5], None).ends_with("5.000  over"));
    }
}
