#include "daemon/exposition/source_exposition.h"

#include <set>

namespace conntally {
namespace {

// One limit of each origin: the most used.
void AddLimits(MetricFamilyList& list, const Snapshot& snapshot) {
  const auto each = [&](MetricFamilyList::Family family, auto&& value_of) {
    for (const ExportedSource& source : snapshot.exported) {
      std::set<LimitOrigin> told;
      for (const SourceLimit& limit : source.limits) {
        if (told.insert(limit.origin).second)
          family.Add(value_of(limit), {{"source", source.name}, {"origin", NameOf(limit.origin)}});
      }
    }
  };
  each(list.Gauge("conntally_source_connections_limit",
                  "Connections the source may have, by where the limit stands; of several, the most used."),
       [](const SourceLimit& limit) { return limit.connections; });
  each(list.Gauge("conntally_source_limited_connections", "Connections that this limit counts for the source."),
       [](const SourceLimit& limit) { return limit.counted; });
}

}  // namespace

void AddSources(MetricFamilyList& list, const Snapshot& snapshot) {
  list.Gauge("conntally_sources",
             "Sources with at least one connection; a lower bound while conntally_unattributed_connections is not 0.")
      .Add(snapshot.sources);
  list.Gauge("conntally_unattributed_connections",
             "Connections that are in the totals, but counted for no source because there was no room for more.")
      .Add(snapshot.totals.unattributed_connections);

  const auto each = [&](MetricFamilyList::Family family, auto&& value_of) {
    for (const ExportedSource& source : snapshot.exported)
      family.Add(value_of(source.figures), {{"source", source.name}});
  };
  using Figures = const SourceFigures&;
  each(list.Gauge("conntally_source_connections", "Connections of the source."),
       [](Figures f) { return f.connections; });
  each(list.Gauge("conntally_source_unreplied_connections", "Connections of the source that saw no packet in reply."),
       [](Figures f) { return f.unreplied; });
  each(list.Gauge("conntally_source_destination_ports",
                  "Distinct destination ports among the source's connections, counted exactly."),
       [](Figures f) { return f.destination_ports; });
  AddLimits(list, snapshot);
  each(list.Counter("conntally_source_opened_total", "Connections the source opened since the daemon started."),
       [](Figures f) { return f.opened; });
  each(list.Counter("conntally_source_closed_total", "Connections of the source that ended since the daemon started."),
       [](Figures f) { return f.closed; });

  auto dropped = list.Counter("conntally_source_dropped_packets_total",
                              "Packets of the source that netfilter dropped or rejected, by the rule where it is known "
                              "and by how they were seen; each once.");
  for (const ExportedSource& source : snapshot.exported) {
    for (const DropShare& share : source.drops.shares) {
      dropped.Add(share.packets, {{"source", source.name}, {"rule", share.rule}, {"via", NameOf(share.via)}});
    }
  }

  list.Gauge("conntally_other_sources", "Sources with at least one connection that have no series of their own.")
      .Add(snapshot.other_sources);
  list.Gauge("conntally_other_sources_connections",
             "Connections of sources that have no series of their own; with conntally_source_connections the exact sum "
             "of conntally_connections.")
      .Add(snapshot.other_connections);
  list.Gauge("conntally_unexported_source_connections_max",
             "The most connections that a source without series of its own holds, those of sources.exclude aside.")
      .Add(snapshot.unexported_source_connections_max);
}

}  // namespace conntally
