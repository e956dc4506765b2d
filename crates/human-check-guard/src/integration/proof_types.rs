/// Declares the types `Human` and `MaybeHuman` in a crate that connects the guard to a framework.
///
/// A crate can implement a framework's extractor trait only for its own types, so each such crate
/// wraps [`Human`](crate::Human) and [`Visitor`](crate::Visitor). Both types deref to what they
/// wrap, and both implement [`FromDecision`](crate::integration::FromDecision).
///
/// ```
/// human_check_guard::integration::proof_types!();
///
/// fn provider(human: &Human) -> &str {
///     human.facts().provider.name()
/// }
///
/// fn is_verified(visitor: &MaybeHuman) -> bool {
///     visitor.human().is_some()
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! proof_types {
    () => {
        $crate::proof_types! {
            /// Proof that the check returned a human verdict for this request.
            ///
            /// Only a guard can create it. A handler that takes it does not run without a human
            /// verdict, even on a route that fails open. As an extractor it reads the token from
            /// the header.
            Human($crate::Human)

            /// A visitor that the route's policy lets through, with a human verdict or without.
            ///
            /// It wraps a [`Visitor`], which says why there is no verdict. As an extractor it reads
            /// the token from the header.
            MaybeHuman($crate::Visitor)
        }
    };
    ($($(#[$doc:meta])* $name:ident($inner:ty))*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name($inner);

        impl $name {
            /// Returns the wrapped type, to be passed to code that knows no framework.
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

/// Declares types that hold the value of a request's body and the proof that the handler demands,
/// in a crate that connects the guard to a framework.
///
/// Each type `$name<T, D = Human>` has the methods `proof`, `into_inner` and `into_parts`, and
/// derefs to the value. The default of `D` is the type `Human` that is in scope, see
/// [`proof_types`](crate::proof_types).
///
/// ```
/// mod shell {
///     human_check_guard::integration::proof_types!();
///     human_check_guard::integration::checked_types! {
///         /// A form whose token was verified.
///         HumanForm
///     }
/// }
///
/// fn email(form: shell::HumanForm<String>) -> String {
///     form.into_inner()
/// }
/// # fn main() {}
/// ```
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
            /// Returns the proof that the handler demands, for example a [`Human`].
            pub fn proof(&self) -> &D {
                &self.proof
            }

            /// Returns the value of the body, and drops the proof.
            pub fn into_inner(self) -> T {
                self.value
            }

            /// Returns the value of the body, and the proof.
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
