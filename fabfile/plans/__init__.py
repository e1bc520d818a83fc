"""Plans: inventory + survey → what should happen, as data. Nothing here touches a host."""
