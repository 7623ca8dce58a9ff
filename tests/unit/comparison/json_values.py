"""JSON values for searches: small ones with few names, so that two values have much in common."""

from __future__ import annotations

from hypothesis import strategies as st

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([0.0, 1.0, 1.5, 10**20])
    | st.text("ab \n", max_size=6)
)
_NAMES = st.sampled_from(["id", "name", "a", "b", "", "a/b~c", "0", "-"])


def _containers(inner: st.SearchStrategy) -> st.SearchStrategy:
    keyed = st.fixed_dictionaries({"id": st.integers(0, 6)}, optional={"a": inner, "name": inner})
    named = st.fixed_dictionaries({"name": st.text("abc", min_size=1, max_size=2)}, optional={"a": inner})
    return (
        st.lists(inner, max_size=6)
        | st.dictionaries(_NAMES, inner, max_size=4)
        | st.lists(keyed, max_size=6)
        | st.lists(named, max_size=6)
    )


JSON_VALUES = st.recursive(_SCALARS, _containers, max_leaves=25)
