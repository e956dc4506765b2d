/// Returns a remedy for a name that is not known: the known name that it was likely meant to be, or
/// all of them.
pub(crate) fn suggestion<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let distance = |other: &str| {
        let [name, other] = [name, other].map(|text| text.to_ascii_lowercase());
        strsim::damerau_levenshtein(&name, &other)
    };
    let nearest = known.iter().map(|other| (distance(other), *other)).min();
    match (nearest, &known[..]) {
        (Some((distance, nearest)), _) if distance <= 2 => format!("write {nearest}"),
        (_, []) => "leave it out".to_owned(),
        (_, [only]) => format!("write {only}, or leave it out"),
        _ => format!("write one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn a_near_name_is_suggested_alone_and_a_far_one_gets_the_list() {
        let known = ["site_key", "secret", "hostnames"];
        assert_eq!(suggestion("sitekey", known), "write site_key");
        assert_eq!(suggestion("SITE_KYE", known), "write site_key");
        let all = "write one of site_key, secret, hostnames";
        assert_eq!(suggestion("password", known), all);
        assert_eq!(suggestion("x", ["kind"]), "write kind, or leave it out");
        assert_eq!(suggestion("x", []), "leave it out");
    }
}
