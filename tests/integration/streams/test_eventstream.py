"""The django-eventstream integration: a storage over the event table, and channel permissions."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django_eventstream.utils import get_channelmanager, get_storage

from executions.progress.eventstream import ReadOnlyLog, channel_of, execution_of
from tests.factories.streams import ASKED, COMPLETE, SKIPPED, STARTED, append, make_execution, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def execution_id() -> UUID:
    made = make_execution(make_user("alice")[0])
    append(made, STARTED, ASKED, SKIPPED)
    return made


def test_events_come_after_the_last_id_and_as_many_as_asked_for(execution_id: UUID) -> None:
    events = get_storage().get_events(channel_of(execution_id), 1, limit=5)
    assert [(event.id, event.type) for event in events] == [(2, "clarification_needed"), (3, "step_skipped")]
    assert events[1].data["data"] == {"reason": "two\nlines"}
    assert [event.id for event in get_storage().get_events(channel_of(execution_id), 0, limit=2)] == [1, 2]


def test_the_current_id_is_the_number_of_the_newest_event(execution_id: UUID) -> None:
    assert get_storage().get_current_id(channel_of(execution_id)) == 3
    assert get_storage().get_current_id(channel_of(uuid4())) == 0


def test_an_end_is_the_last_event_of_an_execution_that_has_ended(execution_id: UUID) -> None:
    channel = channel_of(execution_id)
    assert not get_storage().is_end(channel, 3)
    append(execution_id, COMPLETE)
    assert get_storage().is_end(channel, 4)
    assert not get_storage().is_end(channel, 3)
    assert not get_storage().is_end(channel_of(uuid4()), 0)


def test_nothing_but_the_journal_writes_events(execution_id: UUID) -> None:
    with pytest.raises(ReadOnlyLog):
        get_storage().append_event(channel_of(execution_id), "step_started", {})
    assert get_storage().get_current_id(channel_of(execution_id)) == 3


def test_a_client_may_go_on_from_a_last_id_in_executions_alone() -> None:
    manager = get_channelmanager()
    assert manager.is_channel_reliable(channel_of(uuid4()))
    assert not manager.is_channel_reliable("of-another-app")


def test_a_channel_is_read_by_those_with_a_role_and_by_staff(execution_id: UUID) -> None:
    manager, channel = get_channelmanager(), channel_of(execution_id)
    owner, stranger, staff = (make_user(name)[0] for name in ("alice", "mallory", "root"))
    staff.is_staff = True
    assert manager.can_read_channel(owner, channel)
    assert manager.can_read_channel(staff, channel)
    assert not manager.can_read_channel(stranger, channel)
    assert not manager.can_read_channel(AnonymousUser(), channel)
    assert not manager.can_read_channel(None, channel)
    assert not manager.can_read_channel(owner, channel_of(uuid4()))
    assert not manager.can_read_channel(owner, "somewhere")


def test_a_channel_names_its_execution(execution_id: UUID) -> None:
    assert execution_of(channel_of(execution_id)) == execution_id
    assert execution_of("execution-x") is None
    assert execution_of(str(execution_id)) is None
    channels = get_channelmanager().get_channels_for_request(HttpRequest(), {"execution_id": execution_id})
    assert channels == {channel_of(execution_id)}
