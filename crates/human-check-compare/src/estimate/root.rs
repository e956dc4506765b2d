/// Returns where `f` changes its sign between `low` and `high`, to the precision of a float.
///
/// It halves the interval, which is slow and cannot fail. `f` must be monotone there.
pub(super) fn root(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let rises = f(high) > 0.0;
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        match (f(middle) > 0.0) == rises {
            true => high = middle,
            false => low = middle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_found_whether_the_function_rises_or_falls() {
        assert!((root(0.0, 2.0, |x| x * x - 2.0) - 2_f64.sqrt()).abs() < 1e-15);
        assert!((root(0.0, 2.0, |x| 2.0 - x * x) - 2_f64.sqrt()).abs() < 1e-15);
    }
}
