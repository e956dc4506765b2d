/// Declares `Human` and `MaybeHuman` in a crate that fits the guard to a framework.
///
/// A framework's extractor trait can only be implemented for types of the same crate, so each such
/// crate wraps the two. Both deref to what they wrap, and both are a
/// [`FromDecision`](crate::integration::FromDecision).
#[macro_export]
macro_rules! proof_types {
    () => {
        $crate::proof_types! {
            /// Proof that the check passed for this request.
            ///
            /// Only a guard makes one, and only of a human verdict: a handler that takes it does
            /// not run without, whatever the route's policy opens on.
            Human($crate::Human)

            /// Whoever the route's policy lets in: proven human, or not asked, or undecided.
            MaybeHuman($crate::Visitor)
        }
    };
    ($($(#[$doc:meta])* $name:ident($inner:ty))*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name($inner);

        impl $name {
            /// What it wraps, to hand on to code that knows no framework.
            pub fn into_inner(self) -> $inner {
                self.0
            }
        }

        impl ::std::ops::Deref for $name {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl $crate::integration::FromDecision for $name {
            fn from_decision(decision: $crate::integration::Decision) -> ::std::result::Result<Self, $crate::Rejection> {
                decision.require().map(Self)
            }
        }
    )*};
}

/// Declares wrappers that hold what was sent beside what the handler demanded of the check, for a
/// crate that fits the guard to a framework. `Human` of the same crate is demanded by default.
#[macro_export]
macro_rules! checked_types {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<T, D = Human> {
            value: T,
            proof: D,
        }

        impl<T, D> $name<T, D> {
            /// What the handler demanded of the check.
            pub fn proof(&self) -> &D {
                &self.proof
            }

            /// What was sent.
            pub fn into_inner(self) -> T {
                self.value
            }

            /// Both.
            pub fn into_parts(self) -> (T, D) {
                (self.value, self.proof)
            }
        }

        impl<T, D> ::std::ops::Deref for $name<T, D> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.value
            }
        }

        impl<T, D> ::std::ops::DerefMut for $name<T, D> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.value
            }
        }
    )*};
}
