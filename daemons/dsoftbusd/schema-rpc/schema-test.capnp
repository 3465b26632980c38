@0xb6d1f0c58a9e4d27;
# For tests: interfaces that compiled schemas may hold and that are hard to look at: several in one file, nested ones, generics that grow
# without end, and types in a circle.

interface First {
  a @0 () -> ();
  interface Inner {
    b @0 () -> ();
  }
}

interface Second extends(First) {
  c @0 (ring :RingA) -> (list :List(List(RingB)));
  growing @1 (grow :Grow(Text)) -> ();
  first @2 () -> (first :First);
}

interface Twice extends(First) {
  a @0 () -> ();
  # The name of an inherited one.
}

struct RingA {
  next @0 :RingB;
}
struct RingB {
  next @0 :List(RingA);
  union {
    text @1 :Text;
    group :group {
      deep @2 :Data;
    }
  }
}
struct Grow(T) {
  value @0 :T;
  next @1 :Grow(Grow(T));
}
