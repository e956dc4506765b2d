//! `plan`: how many visitors and days an experiment needs.

use std::io::{self, Write};

use human_check_compare::estimate::{total_size, total_size_at_any_time};

use crate::args::PlanArgs;

/// Prints the plan, and returns the exit code.
///
/// # Errors
///
/// [`io::Error`] that names an argument which is out of its range.
pub(crate) fn run(args: &PlanArgs, out: &mut impl Write) -> io::Result<u8> {
    let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    let inside = |share: f64| share > 0.0 && share < 1.0;
    if !inside(args.baseline) {
        return invalid("--baseline is not between 0 and 1; write a share, such as 0.93");
    }
    if !inside(args.margin) || args.margin >= args.baseline {
        return invalid("--margin is not between 0 and the baseline; write a share, such as 0.01");
    }
    if !inside(args.weight) {
        return invalid("--weight is not between 0 and 1; write a share, such as 0.5");
    }
    if !(0.5..1.0).contains(&args.power) {
        return invalid("--power is not from 0.5 to 1; write a share, such as 0.8");
    }
    if args.per_day == 0 {
        return invalid("--per-day is 0; write how many visitors a day are shown a challenge");
    }
    // The arm is worse by the margin: that is the case which must be found.
    let arm = args.baseline - args.margin;
    let sizes = [total_size_at_any_time, total_size]
        .map(|size| size(arm, args.baseline, args.weight, args.power).unwrap_or(u64::MAX));
    let days = sizes.map(|size| size.div_ceil(args.per_day));
    if args.json {
        let json = serde_json::json!({
            "any_time": {"visitors": sizes[0], "days": days[0]},
            "one_look": {"visitors": sizes[1], "days": days[1]},
        });
        writeln!(out, "{json}")?;
        return Ok(0);
    }
    let points = args.margin * 100.0;
    writeln!(
        out,
        "To find a difference of {points:.1} percentage points from {:.1} %, with {:.0} % probability:\n",
        args.baseline * 100.0,
        args.power * 100.0
    )?;
    for (nth, how) in ["looking as often as you like", "looking once, at the end"]
        .iter()
        .enumerate()
    {
        writeln!(
            out,
            "  {how:<29} {:>9} visitors of both arms, {:>4} days at {} a day",
            sizes[nth], days[nth], args.per_day
        )?;
    }
    writeln!(
        out,
        "\nWrite into [experiment]: planned = {}, margin = {}, and an `until` at least {} days from now, in whole weeks.",
        sizes[0],
        args.margin,
        days[0].div_ceil(7).saturating_mul(7)
    )?;
    if days[0] > 90 {
        writeln!(
            out,
            "That is long. A larger margin, more routes or a weight near 0.5 need fewer days."
        )?;
    }
    Ok(0)
}
