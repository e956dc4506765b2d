/// Declares `Human` and `MaybeHuman` in a crate that fits the guard to a framework.
///
/// A framework's extractor trait can only be implemented for types of the same crate, so each such
/// crate wraps the two. Both deref to what they wrap, and both are a
/// [`Demand`](crate::Demand).
#[macro_export]
macro_rules! proof_types {
    () => {
        $crate::proof_types! {
            /// Proof that the check passed for this request.
            ///
            /// Only a guard makes one, and only of a human verdict: a handler that takes it does
            /// not run without, whatever the route's policy opens on.
            Human

            /// Somebody whom the route's policy lets in: proven human, or not asked, or undecided.
            MaybeHuman
        }
    };
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name($crate::$name);

        impl $name {
            /// What it wraps, to hand on to code that knows no framework.
            pub fn into_inner(self) -> $crate::$name {
                self.0
            }
        }

        impl ::std::ops::Deref for $name {
            type Target = $crate::$name;

            fn deref(&self) -> &$crate::$name {
                &self.0
            }
        }

        impl $crate::Demand for $name {
            fn of(outcome: $crate::Outcome) -> ::std::result::Result<Self, $crate::Refused> {
                outcome.demand().map(Self)
            }
        }
    )*};
}
